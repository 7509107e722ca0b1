#!/bin/sh
# Installs Handshake Lab from this folder. It needs no network, no compiler and no other rights than yours.
#
#   sh install.sh                       into ~/handshake-lab
#   sh install.sh /opt/handshake-lab    into another directory
set -eu

here=$(dirname "$(readlink -f "$0")")
place=${1:-$HOME/handshake-lab}
case $place in
/*) ;;
-*)
	echo 'usage: sh install.sh [DIRECTORY]' >&2
	exit 2
	;;
*) place=$PWD/$place ;;
esac
# An ordinary user's PATH lacks these on Debian, and nft lives there.
PATH=$PATH:/usr/sbin:/sbin
pythons='@pythons@'
package='@package@'

give_up() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 3
}

is_version() { # python, version
	"$1" -c "import ensurepip, sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" 2>/dev/null
}

# Sets "python": one for which this folder has packages; the machine's own before others.
find_python() {
	for version in $pythons; do
		python=python3
		is_version "$python" "$version" && return
	done
	for version in $pythons; do
		python=python$version
		is_version "$python" "$version" && return
	done
	return 1
}

[ "$(uname -sm)" = "Linux x86_64" ] || give_up "the lab kernel runs on Linux on x86-64; this is $(uname -sm)"
command -v ss >/dev/null 2>&1 || give_up "ss is missing: install the package iproute2"
command -v nft >/dev/null 2>&1 || give_up "nft is missing: install the package nftables"
find_python || give_up "this folder has packages for Python $pythons; none of them was found with its module venv" \
	"(Debian's package is python3-venv)"

"$python" -m venv "$place"
"$place/bin/python" -m pip --isolated --disable-pip-version-check --no-input install --quiet \
	--no-index --find-links "$here/wheels" "$package"
[ ! -d "$here/units" ] || cp -R "$here/units" "$place/"

"$place/bin/handshake" course list
for unit in "$place"/units/*/; do
	[ ! -d "$unit" ] || printf '     %s\n' "${unit%/}"
done
# shellcheck disable=SC2016  # it is printed for the reader's shell
printf '\nReady. For example:\n  export PATH=%s/bin:$PATH\n  handshake course start 1 --id YOUR-ID\n' "$place"
