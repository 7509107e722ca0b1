"""The command line as a whole: every verb loads, explains itself, and mistakes have their exit status."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import click
import pytest
from handshake_lab.cli import main
from handshake_lab.errors import EnvironmentUnsupported, FaultNeverFired, RecordUnreadable


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_loads_and_shows_examples(verb: str) -> None:
    """The help of every verb and sub-verb describes it and contains examples."""
    command = import_module(f"handshake_lab.cli.commands.{verb}").command
    inner = command.commands.values() if isinstance(command, click.Group) else ()

    assert command.help
    assert any(f"handshake {verb}" in (each.help or "") + (each.epilog or "") for each in [command, *inner])


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Call the command line; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["handshake", *words])
    with pytest.raises(SystemExit) as stop:
        main.main()
    return int(stop.value.code or 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("demo", "--delay", "50"), "'50' has no unit (ns, us, ms, s). For example: --delay 50ms\n"),
        (("demo", "--loss", "120%"), "'120%' is over 100%"),
        (("demo", "--loss", "abc"), "'abc' is not a percentage"),
        (("demo", "--seed", "x"), "'x' is not a whole number"),
        (("demo", "--seed", "-1"), "'-1' is not a whole number"),
        (("demo", "--seed", str(2**64)), "does not fit into 64 bits"),
        (("demo", "--kernel", "marble"), "'marble' is not a kind of kernel"),
        (("demo", "--fault", "drop SYM"), "the nearest is 'SYN'"),
        (("demo", "--link", "h1>h9:loss=5%"), "'h9' is not a node of this network"),
        (("record",), "nothing to run"),
        (("record", "--client", "h9=true"), "'h9' is not a node of this network"),
        (("record", "--client", "curl 'oops"), "No closing quotation"),
        (("show", "/nonexistent"), "/nonexistent"),
    ],
)
def test_wrong_usage_is_status_2_with_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], reason: str
) -> None:
    """The message names the value and the reason; there is no traceback."""
    assert call(monkeypatch, *words) == 2

    said = capsys.readouterr().err
    assert reason in said
    assert "Traceback" not in said


def test_only_a_virtual_machine_is_booted_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other kernels are refused before anything runs: the option would do nothing."""
    assert call(monkeypatch, "test", "--no-checks", "--kernel", "host", "--boot-once") == 2
    assert "--boot-once: 'host' is not a virtual machine" in capsys.readouterr().err


def test_an_unwritable_directory_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The directory is tried before a kernel is booted."""
    assert call(monkeypatch, "demo", "--out", "/proc/handshake") == 2
    assert "--out: '/proc/handshake' cannot be written to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"),
    [(FaultNeverFired("x"), 1), (RecordUnreadable("x"), 2), (EnvironmentUnsupported("x", "y"), 3)],
)
def test_an_error_carries_its_exit_status(monkeypatch: pytest.MonkeyPatch, error: Exception, status: int) -> None:
    """0 as documented, 1 not as documented, 2 wrong usage, 3 not possible here."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main.command, "main", fail)

    assert call(monkeypatch) == status


def test_starting_does_not_import_what_another_verb_needs() -> None:
    """An ordinary start is fast: reports, pyroute2 and pytest are imported only by verbs that need them."""
    program = "import sys, handshake_lab.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert not {"pyroute2", "pytest", "rich", "jinja2", "mininet"}.intersection(loaded)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["--dist", "worksteal", "-n", "auto"]),
        (["tests/unit", "-n", "2"], ["--dist", "worksteal", "tests/unit", "-n", "2"]),
        (["-n2", "--dist=load"], ["-n2", "--dist=load"]),
        (["tests/unit", "-k", "time"], ["tests/unit", "-k", "time"]),
    ],
)
def test_workers_get_whole_files(words: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the tests' distribution is chosen, or there is one worker."""
    passed: list[list[str]] = []
    module = import_module("handshake_lab.cli.commands.test")

    def run(given: list[str], *_: object, **__: object) -> int:
        passed.append(given)
        return 0

    monkeypatch.setattr(module, "choose_kernel", lambda *_, **__: None)
    monkeypatch.setattr(module, "run_pytest", run)

    module.command.callback(tuple(words), "lab", None, checks=False, boot_once=False)

    assert passed == [expected]
