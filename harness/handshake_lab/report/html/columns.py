"""Columns of numbers in a page: each as its difference to the one before, which is shorter."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def differences(numbers: Sequence[int]) -> list[int]:
    """The first number, then how much each exceeds the one before; the page's ``summed()`` is the reverse."""
    return [number - before for before, number in pairwise((0, *numbers))]
