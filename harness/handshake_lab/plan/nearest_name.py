"""Hints for names that are not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest_name(given: str, known: Iterable[str], alike: float = 0.5) -> str | None:
    """The most similar of the known names; None if none is at least ``alike``, between 0 and 1."""
    import difflib  # noqa: PLC0415 -- needed only for an error

    return next(iter(difflib.get_close_matches(given, list(known), n=1, cutoff=alike)), None)


def hint(given: str, known: Iterable[str]) -> str:
    """The most similar of the known names, or all of them, for the end of a message."""
    names = list(known)
    near = nearest_name(given, names)
    return f"the nearest is {near!r}" if near else f"there are {', '.join(names)}"
