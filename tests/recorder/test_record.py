"""``handshake record`` with third-party programs, as a user runs it, on the lab kernel."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import ctrl_c
import pytest
from command_line import COMMAND, handshake
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import Program, RunHeader
from handshake_lab.verdict.judge import judge
from polling import comes_true

HERE = Path(__file__).parent
LEAKY = f"{sys.executable} {HERE / 'leaky.py'}"
LOSSY = ("--link", "delay=20ms,loss=5%")


def needs(program: str) -> pytest.MarkDecorator:
    """Mark a test that records a program which this machine may lack."""
    return pytest.mark.skipif(not shutil.which(program), reason=f"there is no {program} on this machine")


def ask(text: str = "") -> str:
    """A client that connects to h2, sends data, and reads until the other side closes or it has five bytes."""
    said = f"s.sendall(b'{text}');" if text else ""
    return f"{sys.executable} -c \"import socket; s = socket.create_connection(('h2', 80)); {said} s.recv(5)\""


@needs("curl")
def test_http_server_and_curl_at_five_percent_loss(tmp_path: Path) -> None:
    """Names resolve, the page arrives, each output is kept, and both ends have their complete history."""
    server = f"{sys.executable} -m http.server 80 --directory {HERE}"
    done = handshake(
        "record", *LOSSY, "--server", server, "--client", "curl -s http://h2/leaky.py", "--out", str(tmp_path / "run")
    )
    kept = {path.name for path in (tmp_path / "run").iterdir()}
    record = reconcile(read(tmp_path / "run").observations)

    assert done.returncode == 0, done.stderr
    assert kept == {
        "events.jsonl",
        "capture.pcapng",
        "index.html",
        *(f"{program}.{ending}" for program in ("h2-server-1", "h1-client-1") for ending in ("out", "err")),
    }
    assert (tmp_path / "run" / "h1-client-1.out").read_text() == (HERE / "leaky.py").read_text()
    assert {end.role: end.states[-1] for end in record.endpoints if end.role != "listener"} == {
        "client": "CLOSED",
        "server": "CLOSED",
    }
    assert judge(record).ok
    assert "h1-client-1: exit status 0: curl" in done.stdout


@needs("iperf3")
def test_iperf3_at_five_percent_loss(tmp_path: Path) -> None:
    """Both of its connections are there, from CLOSED to CLOSED at either end.

    It spins while it waits for the other side: on the lab kernel, where computing takes next to no time,
    a long delay or a lost last segment costs it a minute of wall time. Hence the short delay. And it closes
    with data that has not left yet, and its FIN behind that: where a reset comes first, the FIN was never sent.
    """
    done = handshake(
        "record", "--link", "delay=1ms,loss=5%", "--seed", "2", "--server", "iperf3 -s -1",
        "--client", "iperf3 -c h2 -n 20K", "--out", str(tmp_path / "run"), "--plain",
    )  # fmt: skip
    both = [end for end in reconcile(read(tmp_path / "run").observations).endpoints if end.role != "listener"]

    assert [step.objection for end in both for step in end.transitions if step.flaw] == []
    assert done.returncode == 0, done.stderr
    assert sorted((end.node, end.role, end.states[0], end.states[-1]) for end in both) == sorted(
        [("h1", "client", "CLOSED", "CLOSED")] * 2 + [("h2", "server", "CLOSED", "CLOSED")] * 2
    )
    assert "iperf Done." in (tmp_path / "run" / "h1-client-1.out").read_text()


def test_a_server_that_leaks_close_wait_and_several_clients(tmp_path: Path) -> None:
    """The server's ends stay in CLOSE-WAIT and are reported; its end with the run does not close them."""
    out = tmp_path / "run"
    done = handshake(
        "record", *LOSSY, "--server", LEAKY, "--client", ask(), "--client", ask(),
        "--after", "70s", "--out", str(out), "--plain",
    )  # fmt: skip
    record = reconcile(read(out).observations)
    said = [finding.text for finding in judge(record).findings if "did not leave CLOSE-WAIT" in finding.text]

    assert done.returncode == 0, done.stderr
    assert [end.states[-1] for end in record.endpoints if end.role == "server"] == ["CLOSE-WAIT", "CLOSE-WAIT"]
    assert [end.states[-1] for end in record.endpoints if end.role == "client"] == ["CLOSED", "CLOSED"]
    assert len(said) == 2
    assert "its program did not close the socket" in " ".join(done.stdout.split())
    assert "h2-server-1: still running when the recording ended" in done.stdout


def test_exit_statuses_and_signals_are_reported() -> None:
    """The failure of a program is reported; the record itself is not a failure."""
    fails = f"{sys.executable} -c 'raise SystemExit(7)'"
    dies = f"{sys.executable} -c 'import os; os.abort()'"
    done = handshake("record", "--client", fails, "--client", f"h2={dies}", "--plain")

    assert done.returncode == 0, done.stderr
    assert "h1-client-1: exit status 7" in done.stdout
    assert "h2-client-2: SIGABRT" in done.stdout


def test_a_client_is_ended_at_its_limit(tmp_path: Path) -> None:
    """It is recorded in the kernel's time: a client that waits indefinitely takes no wall time."""
    python = f"{sys.executable} -c 'import signal; signal.pause()'"
    words = ("--client", "sleep 1000", "--client", python, "--time-limit", "3s", "--out", str(tmp_path / "run"))
    done = handshake("record", *words)
    programs = [each for each in read(tmp_path / "run").observations if isinstance(each, Program)]
    ends = {each.name: (each.status, each.doing) for each in programs if each.phase == "ends"}

    assert ends == {
        "h1-client-1": ("SIGTERM", "waits in clock_nanosleep()"),
        "h1-client-2": ("SIGABRT", "waits in pause()"),
    }
    assert all(3e9 <= each.t < 3.1e9 for each in programs if each.phase == "ends")
    assert "h1-client-1: ended at the time limit, by SIGTERM (it waits in clock_nanosleep())" in done.stdout
    assert "line 1 in <module>" in (tmp_path / "run" / "h1-client-2.err").read_text()


@pytest.mark.parametrize("kernel", ["lab", "host"])
def test_programs_run_where_the_command_is_given(tmp_path: Path, kernel: str) -> None:
    """A program of the user, given by its relative path, finds its files."""
    program = tmp_path / "mine.sh"
    program.write_text("#!/bin/sh\ncat words\n")
    program.chmod(0o755)
    (tmp_path / "words").write_text("found\n")
    done = handshake("record", "--kernel", kernel, "--client", "./mine.sh", "--plain", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "h1-client-1: exit status 0: ./mine.sh\n    found" in done.stdout


@pytest.mark.parametrize("kernel", ["lab", "host"])
def test_a_name_that_no_host_has_is_refused_at_once(kernel: str) -> None:
    """No name server is reachable: a server that looks up its own name, such as http.server, must not wait."""
    asks = "import socket, time; t = time.monotonic(); socket.getfqdn('no.such.host'); print(time.monotonic() - t)"
    done = handshake("record", "--kernel", kernel, "--client", f'{sys.executable} -c "{asks}"', "--plain")
    took = float(done.stdout.splitlines()[-1])

    assert took < 1


def test_a_run_into_the_wall_limit_keeps_what_was_recorded(tmp_path: Path) -> None:
    """A program that computes indefinitely is killed, and the message names the record; no other program ran.

    In a kernel that was booted for it; tests/kernel/test_determinism.py has a fork.
    """
    words = ("--client", "python3 -c 'while True: pass'", "--wall-limit", "5s", "--out", str(tmp_path / "run"))
    done = subprocess.run([*COMMAND, "record", *words], capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert re.search(r"killed after 5 s of wall time: .*python3 \(process \d+\) computes", done.stderr)
    assert f"was kept: handshake show {tmp_path / 'run'}" in done.stderr
    head = read(tmp_path / "run").observations[0]
    assert isinstance(head, RunHeader)
    assert head.replay.endswith("--wall-limit 5s")


@pytest.mark.parametrize("kernel", ["lab", "host"])
def test_watching_shows_states_meanwhile(kernel: str) -> None:
    """A line for each on standard error; standard output is unchanged."""
    server = f"{sys.executable} -c \"import socket; socket.create_server(('', 80)).accept()[0].recv(5)\""
    done = handshake(
        "record", "--kernel", kernel, "--watch", "--json", "--server", server, "--client", ask("hello"), "--after", "1s"
    )
    said = [line.split(maxsplit=1)[1] for line in done.stderr.splitlines()]

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["endpoints"]
    assert "h2 0.0.0.0:80 LISTEN" in said
    assert [line for line in said if line.startswith("h2 10.0.0.2:80 > 10.0.0.1:") and line.endswith(" TIME-WAIT")]
    assert "h1-client-1: 0" in said


def test_an_unknown_program_is_a_mistake_in_the_command_line() -> None:
    """Exit status 2, the option, the value and the reason."""
    done = handshake("record", "--client", "no-such-program --x")

    assert done.returncode == 2
    assert "--client: 'no-such-program --x' cannot be started (No such file or directory)" in done.stderr


@pytest.mark.parametrize("kernel", ["lab", "host"])
def test_a_killed_run_leaves_what_was_recorded(tmp_path: Path, kernel: str) -> None:
    """SIGKILL to the process group: `handshake show` shows the events up to then, and reports that it is incomplete."""
    out = tmp_path / "run"
    running = _endless(out, kernel)
    try:
        assert comes_true(lambda: b'"ESTABLISHED"' in _content(out))
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    shown = handshake("show", str(out), "--json")

    assert "the recorder was killed" in shown.stderr
    assert "CLOSED → SYN-SENT → ESTABLISHED" in json.dumps(json.loads(shown.stdout), ensure_ascii=False)


@pytest.mark.parametrize("kernel", ["lab", "host"])
def test_ctrl_c_leaves_what_was_recorded(tmp_path: Path, kernel: str) -> None:
    """SIGINT, as from the keyboard: the record, its capture, and a shell's exit status."""
    out = tmp_path / "run"
    running = _endless(out, kernel)
    try:
        assert comes_true(lambda: b'"ESTABLISHED"' in _content(out))
    finally:
        os.killpg(running.pid, signal.SIGINT)
        _, said = running.communicate(timeout=30)

    assert running.returncode == 130
    assert "interrupted; the recording up to then is shown" in said
    assert (out / "capture.pcapng").stat().st_size > 0


def _endless(out: Path, kernel: str) -> subprocess.Popen[str]:
    """Start a recording that does not end: while a program computes, virtual time does not advance."""
    spins = f"{sys.executable} -c 'while True: pass'"
    words = ["--kernel", kernel, "--server", LEAKY, "--client", ask(), "--client", spins, "--out", str(out)]
    return subprocess.Popen(
        [*COMMAND, "record", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=ctrl_c.hear,  # noqa: PLW1509  no threads here
    )


def _content(out: Path) -> bytes:
    events = out / "events.jsonl"
    return events.read_bytes() if events.exists() else b""
