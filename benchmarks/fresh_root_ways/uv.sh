# uv: as a tool, run once, and the pytest plugin in a project's environment.
# shellcheck shell=sh
install python3-venv iproute2 nftables
useradd --create-home student
python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet uv
PATH=$PATH:/opt/uv/bin
timed 'uv tool install' as student 'uv tool install --quiet --no-index "handshake-lab[kernel]"'
timed 'first demo' as student '.local/bin/handshake demo --plain --seed 7 --loss 20% --out run >first'
kept /home/student/run/events.jsonl
timed 'uv tool run' as student 'uv tool run --quiet --no-index --from "handshake-lab[kernel]" handshake demo --plain >/dev/null'
cat >/home/student/test_it.py <<'P'
def test_it(net):
    server = net.h2.listen(80)
    assert net.history(net.h1.connect(server)).states[-1] == "ESTABLISHED"
P
as student 'uv venv --quiet project && VIRTUAL_ENV=project uv pip install --quiet --no-index "handshake-lab[kernel]" && project/bin/pytest -q test_it.py' | tail -n 1
as student 'uv tool uninstall --quiet handshake-lab && ! find .local/bin -iname "*handshake*" | grep .'
