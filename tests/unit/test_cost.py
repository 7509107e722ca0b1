"""The costs of programs' use of the machine, and the comparison of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.plan.cost import NO_COST, Cost, parse_cost
from handshake_lab.recording.repeats import count_events, first_difference

if TYPE_CHECKING:
    from pathlib import Path

_STARTS = b'{"type":"program","t":5,"node":"h1","name":"h1-client-1","command":"./client","phase":"starts"}'
_SENT = b'{"type":"segment","t":%d,"node":"h1","flags":"S"}'


def test_costs_are_read_in_any_order() -> None:
    """What is not named costs nothing."""
    assert Cost.parse("tsc=20ns, syscall=2us") == Cost(syscall=2000, clock=0, tsc=20)
    assert Cost.parse("none") == NO_COST
    assert parse_cost(None) is None


@pytest.mark.parametrize(
    "text", ["", "syscall", "syscall=1", "syscal=1us", "clock=1us,clock=2us", "tsc=2s", "tsc=-1ns"]
)
def test_wrong_costs_are_refused(text: str) -> None:
    """The message names the option and shows a correct value."""
    with pytest.raises(UsageError, match=r"--cost: .*For example: ") as refused:
        Cost.parse(text)
    assert refused.value.exit_code == 2


def _run(place: Path, *lines: bytes, **outputs: bytes) -> Path:
    place.mkdir()
    (place / "events.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    for name, content in outputs.items():
        (place / f"{name}.out").write_bytes(content)
    return place


def test_equal_runs_have_no_difference(tmp_path: Path) -> None:
    """Events and output are compared."""
    one = _run(tmp_path / "one", _STARTS, _SENT % 7, client=b"hi\n")
    assert first_difference(one, _run(tmp_path / "other", _STARTS, _SENT % 7, client=b"hi\n")) is None
    assert count_events(one) == 2


def test_the_first_event_that_differs_is_named_with_its_program(tmp_path: Path) -> None:
    """The programs that run in the event's host are what it can come from."""
    one = _run(tmp_path / "one", _STARTS, _SENT % 7, _SENT % 9)
    found = first_difference(one, _run(tmp_path / "other", _STARTS, _SENT % 8, _SENT % 9))
    assert found is not None
    assert found.what == "event 2 (segment at 0.000000007 s)"
    assert found.program == "'./client' on h1"
    assert (found.first, found.second) == ((_SENT % 7).decode(), (_SENT % 8).decode())


def test_a_run_that_ends_earlier_differs(tmp_path: Path) -> None:
    """The missing event is the first difference, in either order."""
    one, other = _run(tmp_path / "one", _STARTS, _SENT % 7), _run(tmp_path / "other", _STARTS)
    for pair in ((one, other), (other, one)):
        found = first_difference(*pair)
        assert found is not None
        assert "event 2" in str(found)
        assert "(nothing more)" in str(found)


def test_output_that_differs_is_found(tmp_path: Path) -> None:
    """Also if no event tells: a program may print what it does not send."""
    one = _run(tmp_path / "one", _STARTS, client=b"same\nx\n")
    found = first_difference(one, _run(tmp_path / "other", _STARTS, client=b"same\ny\n"))
    assert found is not None
    assert (found.what, found.program, found.first, found.second) == ("line 2 of client.out", "client", "x", "y")
