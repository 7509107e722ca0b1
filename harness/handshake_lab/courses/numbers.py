"""The numbers of one student: drawn from a seed, which is derived from the student's id. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeVar

import msgspec

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

_Value = TypeVar("_Value")

#: What an id may consist of: it becomes part of a file's name and of reports.
ID = r"^\w[\w.@+-]{0,63}\Z"


def seed_of(student: str, course: str) -> int:
    """The seed of a student in a course: the same id has another seed in another course or year.

    Args:
        student: The student's id; upper and lower case are the same.
        course: The name of the course, such as "net-2026"; "" if there is none.
    """
    digest = hashlib.sha256(f"{course}\n{student.casefold()}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def draw(seed: int, purpose: str, size: int) -> int:
    """A number from 0 to ``size`` - 1, which depends on the seed and the purpose only."""
    digest = hashlib.sha256(f"{seed}\n{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % size


def shuffled(seed: int, purpose: str, values: Sequence[_Value]) -> list[_Value]:
    """The values in an order that depends on the seed and the purpose only."""
    left, order = list(values), []
    while left:
        order.append(left.pop(draw(seed, f"{purpose} {len(left)}", len(left))))
    return order


class NumberSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """A number that differs between students: a whole number from a range, or one of a list.

    Attributes:
        from_: The smallest.
        to: The largest.
        step: The distance between two of them.
        of: The values, instead of a range.
    """

    from_: int = 0
    to: int = 0
    step: int = 1
    of: tuple[int | str, ...] = ()

    def check(self, name: str) -> None:
        """Check that it has values.

        Raises:
            UsageError: It has none.
        """
        if not self.of and not (self.step > 0 and self.from_ <= self.to):
            example = f"{name} = {{ from = 20, to = 90, step = 5 }}"
            raise UsageError("numbers", name, "has no values: it needs from and to, or of", example)

    def value(self, name: str, seed: int) -> int | str:
        """The value of a student."""
        if self.of:
            return self.of[draw(seed, name, len(self.of))]
        return self.from_ + self.step * draw(seed, name, (self.to - self.from_) // self.step + 1)
