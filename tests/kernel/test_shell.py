"""The shell on a lab kernel: what its page shows, moments that are had again, and futures from the start."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from command_line import COMMAND
from handshake_lab.errors import UsageError, WaitTimedOut
from handshake_lab.experiment.execute import conducted, job_of
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import check_requests, parse_links
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.shell import moments as moments_module
from handshake_lab.shell.moments import Moments
from handshake_lab.shell.prompt import PROMPT, follow
from handshake_lab.shell.session import Session, Setting
from handshake_lab.shell.shell_job import shell_plan
from jobs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

PAGE = REPOSITORY / "docs" / "how-to" / "shell.md"
LINKS = ("delay=25ms",)
SERVER = "h2 python3 -m http.server 80 &"


@contextmanager
def opened(image: LabKernelImage, links: Sequence[str] = LINKS) -> Iterator[tuple[Session, Moments]]:
    """A session between h1 and h2."""
    kernel = LabKernel(image, wall_limit=60, fresh_boot=False)
    specs = parse_links(links)
    with job_of(shell_plan(kernel.info, links=specs)) as job, Moments(job, kernel) as moments:
        yield Session(moments, Setting(check_requests("pair", specs, ()), "pair", links, {}, 1)), moments


def from_the_start(image: LabKernelImage, commands: Sequence[str]) -> bytes:
    """The events of a run with these commands, without parking."""
    kernel = LabKernel(image, wall_limit=60, fresh_boot=False)
    plan = shell_plan(kernel.info, links=parse_links(LINKS), follow=commands)
    with conducted(plan, kernel) as run:
        assert run.directory
        return (run.directory / EVENTS).read_bytes()


def test_the_page_shows_what_happens(
    image: LabKernelImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The transcript of docs/how-to/shell.md, and the test that it saves is that of the page, and passes."""
    monkeypatch.chdir(tmp_path)
    transcript, saved = re.findall(r"```(?:text|python)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[:2]
    commands = re.findall(r"^handshake> (.*)$", transcript, re.MULTILINE)
    with opened(image) as (session, _):
        follow(session, io.StringIO("\n".join(commands)))

    assert capsys.readouterr().out == transcript
    assert (tmp_path / "test_handshake.py").read_text("utf-8") == saved
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_handshake.py"]
    passed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert passed.returncode == 0, passed.stdout


def test_moments_are_had_again(image: LabKernelImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those whose machine was ended; each future is, to the byte, that of its commands from the start."""
    monkeypatch.setattr(moments_module, "KEPT", 3)
    with opened(image) as (session, moments):
        for command in (SERVER, "h1 curl -s http://h2/ -o /dev/null", "step", "drop", "run 2s"):
            session.execute(command)
        lost = session.now
        session.execute("back #2")
        for command in ("delay 300ms", *["step"] * 6):
            session.execute(command)
        late = session.now
        for moment in (lost, late):
            with moments.ended(moment) as results:
                assert (results / EVENTS).read_bytes() == from_the_start(image, moment.commands)

    assert lost.commands[:3] == late.commands[:3]


def test_what_fails_changes_nothing(image: LabKernelImage) -> None:
    """A command that is unknown, not possible now, or in vain."""
    with opened(image) as (session, _):
        for line, kind in (
            ("stepp", UsageError),
            ("drop", UsageError),
            ("h1 no-such-program", UsageError),
            ("step until ESTABLISHED on h1", WaitTimedOut),
            ("back", UsageError),
            ("diff", UsageError),
        ):
            with pytest.raises(kind):
                session.execute(line)
        assert session.now.before is None
        assert session.execute("py 6 * 7")[0] == "42"
        assert session.execute("h1 echo $HOSTNAME; exit 3")[-2] == "(h1 echo $HOSTNAME; exit 3: exit status 3)"


def test_states_are_waited_for(image: LabKernelImage) -> None:
    """Step by step, and with everything delivered; a program that still runs is named."""
    with opened(image) as (session, _):
        session.execute("py server = h2.listen(80)")
        assert session.execute("py client = h1.connect(server)")[-1].endswith(
            "(running: py client = h1.connect(server))"
        )
        session.execute("step until SYN-RECEIVED on h2")
        assert [line.split()[3] for line in session.execute("sockets")[1:]] == ["SYN-SENT", "LISTEN", "SYN-RECEIVED"]
        session.execute("step until ESTABLISHED on h2")
        session.execute("rst" if session.now.answer.undecided.waiting else "py client.close()")
        assert "running" not in session.execute("run until CLOSED on h1")[-1]


def test_a_terminal_has_a_prompt_with_completion() -> None:
    """Tab completes commands and hosts; an error does not end the session, Ctrl-D does."""
    controller, terminal = pty.openpty()
    command = [*COMMAND, "shell"]
    environment = {**os.environ, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, env=environment) as shell:
        os.close(terminal)
        assert "help lists them" in shown_until(controller, PROMPT)
        for typed, expected in (
            ("nod\t\n", "h1 h2 s1"),
            ("drop\n", "none does"),
            ("step until CLOSED on h\t2\n", "] no"),
        ):
            os.write(controller, typed.encode())
            assert expected in shown_until(controller, PROMPT)
        os.write(controller, b"\x04")
        assert shell.wait(timeout=60) == 0
    os.close(controller)


def shown_until(controller: int, end: str) -> str:
    """What a terminal shows, up to a text."""
    shown = ""
    while not shown.endswith(end):
        assert select.select([controller], [], [], 60)[0], shown
        shown += os.read(controller, 4096).decode()
    return shown
