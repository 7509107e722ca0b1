# A read-only installation, a user without a home directory or a name, no network, no writable current directory.
# shellcheck shell=sh
install python3-venv iproute2 nftables mount
python3 -m venv /opt/lab
/opt/lab/bin/pip install --quiet --no-compile "handshake-lab[kernel]"
mount --bind /opt/lab /opt/lab
mount -o remount,ro,bind /opt/lab
! touch /opt/lab/x 2>/dev/null || fail "/opt/lab is writable"
bare() {
	unshare --net setpriv --reuid 4242 --regid 4242 --clear-groups env -i "PATH=$PATH" "$@"
}
timed 'demo' bare /opt/lab/bin/handshake demo --plain >/dev/null
bare /opt/lab/bin/handshake kernel list | grep -q wheel || fail 'the kernel is not that of the wheel'
cat >/tmp/test_it.py <<'P'
def test_it(net):
    server = net.h2.listen(80)
    assert net.history(net.h1.connect(server)).states[-1] == "ESTABLISHED"
P
bare /opt/lab/bin/python -m pytest -q -p no:cacheprovider --handshake-artifacts /tmp/artifacts /tmp/test_it.py | tail -n 1
bare /opt/lab/bin/handshake demo --plain --seed 7 --loss 20% --out /tmp/run >/dev/null
kept /tmp/run/events.jsonl
nothing_was_compiled
