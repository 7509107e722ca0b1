# What the ways share: each is run by root in a new Debian with python3 only, and prints lines for people.
# /wheels has the wheels of this project, of its kernel and of all that they need; /checkout has the tracked files of
# the repository; pip, pipx and uv search in /wheels only.
# shellcheck shell=sh
set -eu
exec 3>&1 # "timed" prints there
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_FIND_LINKS=/wheels UV_PYTHON_DOWNLOADS=never

install() { # package…
	apt-get -qq update
	apt-get -qq -o Dpkg::Use-Pty=0 install --yes --no-install-recommends "$@" >/tmp/apt.log 2>&1 ||
		fail "$(cat /tmp/apt.log)"
}

as() { # user, command
	su "$1" -c "umask 022; cd && $2"
}

timed() { # what, command…
	timed_what=$1
	timed_start=$(cut -d ' ' -f 1 /proc/uptime)
	shift
	"$@"
	awk -v a="$timed_start" -v what="$timed_what" '{printf "%s: %.1f s\n", what, $1 - a}' /proc/uptime >&3
}

digest() { # file
	sha256sum "$1" | cut -c 1-16
}

# The record of "demo --seed 7 --loss 20%", which all ways in all suites have to share.
kept() { # events.jsonl
	cp "$1" /record.jsonl
	echo "sha256 of events.jsonl: $(digest "$1")"
}

fail() {
	echo "FAILED: $*"
	exit 1
}

nothing_was_compiled() {
	for program in gcc cc make; do
		! command -v $program >/dev/null || fail "there is $program"
	done
}
