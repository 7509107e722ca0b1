"""The first screens of ten runs, for readers who know nothing of them: python tests/browser/first_screens.py OUT.

It records the runs on the lab kernel, where they are the same every time, and writes ``OUT/1.png`` to ``OUT/10.png``,
1280 by 800. Neither names, titles nor commands say what happened. What readers said is in
docs/explanation/first-screens.md.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from screens import View, chromium, photograph

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
HANDSHAKE = Path(sys.executable).with_name("handshake")

BULK = """
import socket
with socket.create_connection(("10.0.0.2", 80)) as connection:
    connection.sendall(bytes(400_000))
"""
SINK = """
import socket
connection, _ = socket.create_server(("", 80)).accept()
while connection.recv(65536):
    pass
"""
TWENTY = """
import urllib.request
for _ in range(20):
    urllib.request.urlopen("http://10.0.0.2/").read()
"""
LEAK = """
import socket
kept = []
with socket.create_server(("", 80)) as listener:
    while True:
        kept.append(listener.accept())
"""
ASK = """
import socket
socket.create_connection(("10.0.0.2", 80)).close()
"""
REFUSED = """
import socket
try:
    socket.create_connection(("10.0.0.2", 81))
except ConnectionRefusedError:
    pass
"""


def python(code: str) -> str:
    """A command line that runs this code."""
    return f"python3 -c '{code.replace(chr(39), chr(34))}'"


def record(*arguments: str) -> tuple[str, ...]:
    """The verb, with links of 50 ms."""
    return "record", "--link", "delay=50ms", *arguments


#: Each run: the arguments of ``handshake``, or the name of a scenario.
RUNS: tuple[tuple[str, ...] | str, ...] = (
    ("demo",),
    "test_opening.py::test_synack_lost_1",
    "test_timeouts.py::test_keepalive_dead_peer",
    record("--fault", "drop SYN nth=3", "--server", "python3 -m http.server 80", "--client", python(TWENTY)),
    "test_closing.py::test_simultaneous_close",
    record("--server", python(LEAK), "--client", python(ASK), "--after", "120s"),
    "test_abort.py::test_close_unread",
    record("--link", "rate=10mbit,loss=1%", "--server", python(SINK), "--client", python(BULK)),
    "test_opening.py::test_syn_blackhole",
    record("--server", python(SINK), "--client", python(REFUSED), "--time-limit", "60s"),
)


def recorded(folder: Path) -> Iterator[Path]:
    """Records each run in a directory of its own."""
    for number, run in enumerate(RUNS, 1):
        out = folder / str(number)
        if isinstance(run, str):
            test = [sys.executable, "-m", "pytest", "-q", "--handshake-artifacts", str(out), f"tests/scenarios/{run}"]
            subprocess.run(test, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            (directory,) = (path.parent for path in out.rglob("events.jsonl"))
        else:
            directory = out
            command = [HANDSHAKE, *run, "--out", out, "--plain"]
            status = subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL).returncode
            if status > 1:  # 1: a deviation, which is what some runs are to show
                sys.exit(f"handshake {' '.join(run)} failed: exit status {status}")
        yield directory


def main(out: Path) -> None:
    """Record the runs and write their first screens, with another title and command than those of the run."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as kept, chromium() as browser:
        for number, directory in enumerate(recorded(Path(kept)), 1):
            name = f"run-{number}"
            photograph(browser, directory, out / f"{number}.png", View(), title=name, replay=f"./{name}.sh")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
