"""Whether two runs of the same seed are the same, and if not, the first event that differs and where it came from."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from pathlib import Path

#: Characters of an event that a message shows.
_SHOWN = 300
#: What programs print is kept in files of these names.
_OUTPUTS = ("*.out", "*.err")


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the second of two runs first differs from the first.

    Attributes:
        what: What differs: an event by its number, or what a program printed.
        program: The program that it came from, as far as the record tells; "" if it does not.
        first: What the first run has there; "" if it has ended.
        second: What the second run has there; "" if it has ended.
    """

    what: str
    program: str
    first: str
    second: str

    def __str__(self) -> str:
        source = f", from {self.program}" if self.program else ""
        return (
            f"the run does not repeat: {self.what} differs{source}\n"
            f"  first run:  {self.first or '(nothing more)'}\n  second run: {self.second or '(nothing more)'}"
        )


def first_difference(one: Path, other: Path) -> Difference | None:
    """Compare two runs by their directories: their events, then what their programs printed.

    Returns:
        None if all of it is the same, to the byte.
    """
    return _of_events(_lines(one / EVENTS), _lines(other / EVENTS)) or _of_outputs(one, other)


def count_events(directory: Path) -> int:
    """How many events a run has."""
    return len(_lines(directory / EVENTS))


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().splitlines() if file.exists() else []


def _of_events(one: list[bytes], other: list[bytes]) -> Difference | None:
    programs: dict[str, dict[str, str]] = {}
    for number, (first, second) in enumerate(itertools.zip_longest(one, other), 1):
        if first != second:
            events = [_event(line) for line in (first, second) if line]
            source = next(filter(None, (_program(event, programs) for event in events)), "")
            return Difference(_named(number, events[0]), source, _shown(first), _shown(second))
        _follow(_event(first), programs)
    return None


def _event(line: bytes) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:  # a line that was cut
        return {}
    return found


def _named(number: int, event: dict[str, Any]) -> str:
    return f"event {number} ({event.get('type', '?')} at {event.get('t', 0) / 1e9:.9f} s)"


def _follow(event: dict[str, Any], programs: dict[str, dict[str, str]]) -> None:
    """Keep which programs run in each host."""
    if event.get("type") != "program":
        return
    running = programs.setdefault(event["node"], {})
    if event["phase"] == "starts":
        running[event["name"]] = event["command"]
    else:
        running.pop(event["name"], None)


def _program(event: dict[str, Any], programs: dict[str, dict[str, str]]) -> str:
    """The programs that may have caused an event: those of its host, or of the host whose segment it is."""
    node = event.get("node", "")
    if event.get("type") == "program":
        return f"{event['command']!r} on {node}"
    running = programs.get(node, {})
    return f"{' or '.join(repr(command) for command in running.values())} on {node}" if running else node


def _shown(line: bytes | None) -> str:
    return (line or b"").decode("utf-8", "replace")[:_SHOWN]


def _of_outputs(one: Path, other: Path) -> Difference | None:
    names = sorted({file.name for place in (one, other) for pattern in _OUTPUTS for file in place.glob(pattern)})
    for name in names:
        pairs = enumerate(itertools.zip_longest(_lines(one / name), _lines(other / name)), 1)
        for number, (first, second) in pairs:
            if first != second:
                return Difference(f"line {number} of {name}", name.rpartition(".")[0], _shown(first), _shown(second))
    return None
