# Forty users of one machine: one kernel in the system's cache, no build, the same records.
# shellcheck shell=sh
install python3-venv iproute2 nftables
python3 -m venv /opt/lab
/opt/lab/bin/pip install --quiet handshake-lab
PATH=$PATH:/opt/lab/bin
timed 'kernel import --system' handshake kernel import /wheels/kernel.tar.xz --sha256 "$(cat /wheels/kernel.sha256)" --system
for number in $(seq 40); do
	useradd --create-home "user$number"
	mkdir "/home/user$number/empty"
done
cat >/usr/local/bin/work <<'W'
#!/bin/sh
set -eu
cd "$HOME/empty"
handshake demo --seed 7 --loss 20% --out ../demo --plain >../demo.txt
handshake record --seed 5 --link delay=20ms,loss=5% --server 'python3 -m http.server 80' --out ../record \
	--client "python3 -c 'import urllib.request as u; u.urlopen(\"http://h2/\").read()'" --plain >../record.txt
W
chmod +x /usr/local/bin/work
all() {
	# shellcheck disable=SC2016  # of the user
	seq 40 | xargs -P "$(nproc)" -I N su userN -c 'PATH=$PATH:/opt/lab/bin work'
}
timed '40 users, 2 runs each' all
for name in demo/events.jsonl record/events.jsonl demo.txt; do
	[ "$(find /home -path "*/$name" | wc -l)" = 40 ] || fail "not all have $name"
	kinds=$(find /home -path "*/$name" -exec sha256sum {} + | cut -d ' ' -f 1 | sort -u)
	[ "$(echo "$kinds" | wc -l)" = 1 ] || fail "$name differs"
	echo "$name: 40 files, one sha256: $(echo "$kinds" | cut -c 1-16)"
done
kept /home/user1/demo/events.jsonl
nothing_was_compiled
kernels=$(find / -xdev -name kernel.json ! -path '/proc/*')
[ "$(echo "$kernels" | wc -l)" = 1 ] || fail "kernels: $kernels"
echo "kernels on the machine: $kernels"
handshake cache list --system
handshake cache clean --all --system >/dev/null
[ ! -e /var/cache/handshake-lab ] || fail 'the cache of the system is still there'
