# pipx, as the distribution packages it.
# shellcheck shell=sh
install pipx iproute2 nftables
useradd --create-home student
timed 'pipx install' as student 'pipx install "handshake-lab[kernel]" >/dev/null'
timed 'first demo' as student '.local/bin/handshake demo --plain --seed 7 --loss 20% --out run >first'
kept /home/student/run/events.jsonl
as student 'pipx uninstall handshake-lab >/dev/null && ! find .local -iname "*handshake*" | grep .'
