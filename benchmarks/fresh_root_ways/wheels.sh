# pip install "handshake-lab[kernel]" as an ordinary user, the demo, and what is left after everything is removed.
# shellcheck shell=sh
install python3-venv iproute2 nftables
useradd --create-home student
touch /began
timed 'pip install' as student 'python3 -m venv venv && venv/bin/pip install --quiet "handshake-lab[kernel]"'
timed 'first demo' as student 'venv/bin/handshake demo --plain --seed 7 --loss 20% --out run >first'
as student 'venv/bin/handshake demo --plain --seed 7 --loss 20% --out again >second && cmp run/events.jsonl again/events.jsonl'
nothing_was_compiled
kept /home/student/run/events.jsonl
echo "home directory: $(find /home/student -mindepth 1 -maxdepth 1 -newer /began -printf '%f\n' | sort | tr '\n' ' ')"
as student 'venv/bin/handshake cache clean --all >/dev/null; rm -r run again first second'
as student 'venv/bin/pip uninstall --quiet --yes handshake-lab handshake-lab-kernel'
left=$(
	find / -xdev -newer /began ! -type d ! -path '/home/student/venv/*' ! -path /record.jsonl
	find /home/student/venv -iname '*handshake*'
	find /dev/shm -mindepth 1
)
[ -z "$left" ] || fail "left: $left"
echo 'after "cache clean --all" and "pip uninstall": nothing is left'
