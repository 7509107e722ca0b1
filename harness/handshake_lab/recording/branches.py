"""``branch.json``: where a branch of a run parted from the others, and how: a list of its decisions."""

from __future__ import annotations

import msgspec


class BranchStep(msgspec.Struct, frozen=True):
    """The decision that a branch took at a branch point."""

    t: int  #: on the run's clock, in nanoseconds
    at: str  #: the kind of segment, as it was asked for; "" where the script branched by itself
    number: int  #: of the segment among those of its kind, or of the branch point in the script; from 1
    decision: str


def encode(steps: list[BranchStep]) -> bytes:
    """The file's contents."""
    return msgspec.json.format(msgspec.json.encode(steps), indent=1) + b"\n"


def decode(data: bytes) -> list[BranchStep]:
    """The steps in a file.

    Raises:
        msgspec.ValidationError: It is not such a file.
    """
    return msgspec.json.decode(data, type=list[BranchStep])
