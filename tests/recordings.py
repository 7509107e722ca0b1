"""Records from lab kernels, for tests that read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.recording.events_file import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.history import Endpoint
    from handshake_lab.recording.observations import Observation

RUNS = Path(__file__).parent / "unit" / "fixtures" / "timeline"


def recorded(name: str) -> tuple[Observation, ...]:
    """The observations of a run."""
    return read(RUNS / f"{name}.jsonl").observations


def only(ends: Iterable[Endpoint], node: str) -> Endpoint:
    """The only endpoint of a node."""
    (end,) = [end for end in ends if end.node == node]
    return end
