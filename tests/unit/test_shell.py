"""The shell's commands, its views, and the tests that it saves, without a kernel."""

from __future__ import annotations

import ast
import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.experiment.shell_script import ANSWER
from handshake_lab.experiment.shell_session import Answer
from handshake_lab.plan.checks import check_requests, parse_links
from handshake_lab.plan.shell_command import ACTING, FATES, ShellCommand, Until
from handshake_lab.reconcile.stored_run import read
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.shell import views
from handshake_lab.shell.help_texts import COMMANDS, help_lines
from handshake_lab.shell.moments import Moment, Moments
from handshake_lab.shell.saved_test import name_of_test, saved_test
from handshake_lab.shell.session import Session, Setting, write_new
from handshake_lab.shell.shell_job import network_of
from recordings import RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTS = ("h1", "h2")


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("h1 curl h2", ShellCommand("program", text="curl h2", host="h1")),
        ("h2 nc -l 80 &", ShellCommand("program", text="nc -l 80", host="h2", background=True)),
        ("h2 true && false", ShellCommand("program", text="true && false", host="h2")),
        ("  step  3 ", ShellCommand("step", count=3)),
        ("step until established on h2", ShellCommand("step", until=Until("ESTABLISHED", "h2"))),
        ("run", ShellCommand("run")),
        ("run 1.5s", ShellCommand("run", span=1_500_000_000)),
        ("run until CLOSED on h1", ShellCommand("run", until=Until("CLOSED", "h1"))),
        ("delay 300ms", ShellCommand("step", fate="delay 300ms")),
        ("rst", ShellCommand("step", fate="reset")),
        ("py 1 + 1", ShellCommand("py", text="1 + 1")),
        ("pingall", ShellCommand("pingall")),
    ],
)
def test_commands(line: str, command: ShellCommand) -> None:
    """Each form."""
    assert ShellCommand.parse(line, HOSTS) == command


@pytest.mark.parametrize(
    "line",
    [
        "h3 ls",
        "h1",
        "h1 &",
        "py",
        "step 0",
        "step x",
        "step 1001",
        "step ²",
        "step until ESTABLISHED",
        "step until OPEN on h1",
        "run until CLOSED on h9",
        "run 30",
        "delay",
        "delay soon",
        "drop #2",
        "pingall now",
        "stepp",
    ],
)
def test_what_is_no_command(line: str) -> None:
    """Each with a reason and an example."""
    with pytest.raises(UsageError, match="For example"):
        ShellCommand.parse(line, HOSTS)


def test_every_command_has_help() -> None:
    """And every example of the help that acts on the network is a command."""
    assert {word.split()[0] for word in COMMANDS} >= {
        *ACTING,
        *FATES,
        "back",
        "diff",
        "ladder",
        "sockets",
        "why",
        "save",
    }
    for syntax, _, example in COMMANDS.values():
        if example.split()[0] in (*ACTING, *HOSTS):
            ShellCommand.parse(example, HOSTS)
        assert all(len(line) <= 120 for line in help_lines(syntax.split()[0]))
    assert not help_lines("stepp")


def test_the_network_is_listed_as_in_mininet() -> None:
    """Mininet prints the same words."""
    planned = check_requests("pair", (), ())

    assert views.network_lines(planned) == [
        "h1 h1-eth0:s1-eth1",
        "h2 h2-eth0:s1-eth2",
        "s1 s1-eth1:h1-eth0 s1-eth2:h2-eth0",
    ]
    assert views.link_lines(planned) == ["h1-eth0<->s1-eth1", "s1-eth2<->h2-eth0"]


def test_a_future_is_compared_with_another() -> None:
    """Common events are counted; all that follows has a sign."""
    one, other = (read(RUNS / f"{name}.jsonl").record for name in ("normal", "third_ack_lost_data"))

    assert views.difference_lines(one, one) == ["both futures are the same so far"]
    lines = views.difference_lines(one, other)
    assert any(line.startswith("- ") for line in lines)
    assert any(line.startswith("+ ") and "has not arrived" in line for line in lines)


def test_a_saved_test_is_python(tmp_path: Path) -> None:
    """Whatever the commands contain; with the network of the session."""
    run = read(RUNS / "normal.jsonl")
    commands = ["h1 echo 'a' \"b\"", "step"]
    text = saved_test(
        name_of_test(tmp_path / "test_it's.py"),
        commands,
        run.record,
        topology="star,n=3",
        links=["delay=25ms"],
        sysctls={"net.ipv4.tcp_syncookies": "2"},
        seed=7,
    )

    module = ast.parse(text)
    played = [
        ast.literal_eval(argument)
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "net.play"
        for argument in node.args
    ]
    assert played == commands
    assert 'topology="star,n=3", links=["delay=25ms"], sysctls={"net.ipv4.tcp_syncookies": "2"}, seed=7' in text


def test_the_network_of_a_run() -> None:
    """Its topology and links, by which it is built again; not that of a script, which has no topology."""
    topology, links = network_of(RUNS / "normal.jsonl")
    check_requests(topology, parse_links(links), ())
    assert links

    with pytest.raises(RecordUnreadable):
        network_of(RUNS / "no-such-run.jsonl")


def test_where_no_test_is_saved(tmp_path: Path) -> None:
    """Neither in another kind of file, nor over another file, nor in a directory that does not exist."""
    (tmp_path / "there.py").touch()
    with pytest.raises(UsageError):
        name_of_test(tmp_path / "test_it.txt")
    for name in ("there.py", "none/test_it.py"):
        with pytest.raises(UsageError, match="For example"):
            write_new(str(tmp_path / name), "")


class _Branch:
    """A parked machine without a kernel: a fork of it has no answer, or a damaged one."""

    parked = True

    def __init__(self, results: Path, log: list[str]) -> None:
        self.results = results
        self._log = log

    @contextlib.contextmanager
    def fork(self, text: str) -> Iterator[_Branch]:
        """A fork, whose end is noted."""
        self._log.append(f"fork {text}")
        if "refused" in text:
            raise UsageError("command", text, "is refused", "step")
        try:
            yield _Branch(self.results / text.strip('[]"'), self._log)
        finally:
            self._log.append(f"end {text}")


def test_no_machine_is_left_when_a_command_has_failed(tmp_path: Path) -> None:
    """Whatever fails after it was forked."""
    log: list[str] = []
    (tmp_path / ANSWER).write_bytes(msgspec.json.encode(Answer(0)))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / ANSWER).write_text("{")
    kernel: Any = SimpleNamespace(trunk=lambda _: contextlib.nullcontext(_Branch(tmp_path, log)))
    job: Any = None
    with Moments(job, kernel) as moments:
        for command, error in (("none", OSError), ("damaged", msgspec.DecodeError)):
            with pytest.raises(error):
                moments.after(moments.first, command)
            assert log == [f'fork ["{command}"]', f'end ["{command}"]']
            log.clear()
        # As many commands as take two requests, of which the second fails.
        moment = moments.first
        for command in ("x" * 3000, "refused" + "y" * 3000):
            moment = Moment(moment, command, Answer(0))
        with pytest.raises(UsageError, match="is refused"):
            moments.record(moment)
        assert [each[:6] for each in log] == ["fork [", "fork [", 'end ["']


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    """The session stays where it was, and its file as it was."""
    first = Moment(None, "", Answer(0))
    moments: Any = SimpleNamespace(
        first=first, after=lambda moment, line: Moment(moment, line, Answer(5)), events=lambda _: b"events"
    )
    planned = check_requests("pair", (), ())
    session = Session(moments, Setting(planned, "pair", (), {}, 1, out=tmp_path))
    session.execute("step")
    now = session.now
    assert now.before is first
    (tmp_path / EVENTS).unlink()
    (tmp_path / EVENTS).mkdir()
    for command in ("step", "back"):
        with pytest.raises(UsageError, match=r"--out: .* cannot be written"):
            session.execute(command)
        assert session.now is now
        assert session.left is None
        assert [each.name for each in tmp_path.iterdir()] == [EVENTS]
