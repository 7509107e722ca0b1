"""``handshake run``: Mininet scripts in the styles of courses, unmodified, on the lab kernel."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import COMMAND
from handshake_lab.reconcile.stored_run import read

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record

SCRIPTS = Path(__file__).parent / "scripts"

_PROGRAMS = {"mnexec": "mininet", "ifconfig": "net-tools", "brctl": "bridge-utils", "curl": "curl", "iperf": "iperf"}
_MISSING = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}")


def run(*arguments: str, typed: str = "", cwd: Path = SCRIPTS) -> subprocess.CompletedProcess[str]:
    """``handshake run``, to its end."""
    return subprocess.run(
        [*COMMAND, "run", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
        cwd=cwd,
    )


def states(record: Record, node: str) -> list[list[str]]:
    """The states of each connection of a node."""
    found = [each for each in record.endpoints if each.node == node and each.role != "listener"]
    return [[str(step.new) for step in each.transitions] for each in found]


def test_two_hosts_and_a_web_server_twice(tmp_path: Path) -> None:
    """The script prints what it prints, its connection is recorded from both ends, and both records are the same."""
    one, other = (run("--plain", "--out", str(tmp_path / name), "two_hosts.py") for name in ("one", "other"))
    record = read(tmp_path / "one").record

    assert one.returncode == 0, one.stderr
    assert "*** Stopping 2 hosts" in one.stdout
    assert "\n#!/usr/bin/env python\n" in one.stdout  # the page arrived
    assert "h1>s1:delay=5ms,rate=10mbit" in one.stdout
    assert states(record, "h1")[0][:2] == ["SYN-SENT", "ESTABLISHED"]
    assert states(record, "h2")[0][-1] in ("TIME-WAIT", "CLOSED")
    assert all(segment.sent is not None and segment.received is not None for segment in record.segments)
    assert (tmp_path / "one" / "events.jsonl").read_bytes() == (tmp_path / "other" / "events.jsonl").read_bytes()
    assert other.stdout.partition("Page:")[0] == one.stdout.partition("Page:")[0]


def test_system_calls_cost_what_is_chosen(tmp_path: Path) -> None:
    """Each call takes that virtual time, and the script sees it on its clock."""
    (tmp_path / "spins.py").write_text(
        "import os, time\nbegin = time.monotonic()\nfor _ in range(1000):\n    os.getppid()\n"
        "print('took', round((time.monotonic() - begin) * 1000), 'ms')\n"
    )
    done = run("--plain", "--cost", "syscall=10us,clock=1us", "spins.py", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "took 10 ms" in done.stdout


def test_what_a_hosts_own_queue_drops_is_recorded_as_lost(tmp_path: Path) -> None:
    """Mininet's loss is in the sender's interface, before any capture."""
    done = run("--out", str(tmp_path / "run"), "two_hosts.py", "12")
    record = read(tmp_path / "run").record
    lost = [segment for segment in record.segments if segment.received is None]

    assert done.returncode in (0, 1), done.stderr
    assert {segment.sender for segment in lost} <= {"h1", "h2"}
    assert lost
    assert all(segment.sent is not None for segment in lost)


def test_static_routes_and_commands_from_a_pipe(tmp_path: Path) -> None:
    """Two routers; addresses that are set after the start; a command that runs does not swallow the next line."""
    typed = f"h2 {sys.executable} -m http.server 80 &\nh1 sleep 1\nh1 curl -s 10.2.0.2/ | grep -c html\nh1 echo last\n"

    done = run("--plain", "--seed", "7", "--out", str(tmp_path / "run"), "static_routes.py", typed=typed)
    record = read(tmp_path / "run").record

    assert done.returncode == 0, done.stderr
    assert re.search(r"mininet> [1-9]\d*\nmininet> last\n", done.stdout), done.stdout
    assert states(record, "h1")[0][:2] == ["SYN-SENT", "ESTABLISHED"]
    assert "handshake run --seed 7 static_routes.py" in done.stdout
    assert {"10.0.0.1", "10.1.0.1"} <= set(record.header.nodes["r1"])
    assert "10.0.0.2" in record.header.nodes["r2"]
    assert not [segment for segment in record.segments if segment.sent is None or segment.received is None]


def test_the_status_and_the_files_of_a_script(tmp_path: Path) -> None:
    """Its exit status is the run's; what it writes beside itself comes home, and nothing is left in the directory."""
    shutil.copy(SCRIPTS / "odds_and_ends.py", tmp_path)

    done = run("--out", str(tmp_path / "out"), "odds_and_ends.py", "exit", cwd=tmp_path)

    assert done.returncode == 5, done.stderr
    assert (tmp_path / "out" / "files" / "results" / "numbers.txt").read_text() == "1 2 3\n"
    assert not (tmp_path / "results").exists()


def test_an_exception_is_shown_as_python_shows_it() -> None:
    """Only the script's own lines are in the traceback."""
    done = run("odds_and_ends.py", "raise")

    assert done.returncode == 1
    assert "ValueError: nobody catches this" in done.stdout
    assert "script_process" not in done.stdout


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("bandwidth", "h1-eth0: the script requested bw=2000, but the kernel has rate unlimited. Mininet ignored"),
        (
            "delay",
            "h1-eth0: the script requested delay=5 parsecs, but the kernel has delay 0 ms. Mininet ignored the message",
        ),
        ("loss", "h1-eth0: the script requested loss=120, but the kernel has loss 0 %. Mininet ignored"),
        ("jitter", "h1-eth0: the script requested jitter=1ms, but the kernel has jitter 0 ms. Mininet ignored"),
    ],
)
def test_a_link_that_is_not_as_asked(what: str, complaint: str) -> None:
    """Mininet goes on without it; the run does not."""
    done = run("odds_and_ends.py", what)

    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Ping" not in done.stdout


def test_iperf_without_a_bandwidth_ends(tmp_path: Path) -> None:
    """Links have a rate where the script gives none; Mininet's iperf() ends with any release of iperf."""
    done = run("--plain", "--out", str(tmp_path / "run"), "odds_and_ends.py", "iperf")

    assert done.returncode == 0, done.stderr
    assert re.search(r"\['9\d\.\d Mbits/sec', '9\d\.\d Mbits/sec'\]", done.stdout), done.stdout


def test_a_wait_for_what_never_comes() -> None:
    """It is ended with what the script waited in, long before the limit of real time."""
    done = run("--wall-limit", "100s", "odds_and_ends.py", "wait")

    assert done.returncode == 1
    assert "odds_and_ends.py" in done.stderr
    assert "blocked in a wait" in done.stderr


def test_a_script_that_is_not_there() -> None:
    """Wrong usage, with an example."""
    done = run("no_such_script.py")

    assert done.returncode == 2
    assert "'no_such_script.py' is not a file" in done.stderr
