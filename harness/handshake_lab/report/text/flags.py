"""A segment's control bits, as the name of a style."""

from __future__ import annotations


def kind(letters: str) -> str:
    """The purpose of a segment, as the name of a style: syn, fin, rst, or data."""
    for letter, word in (("R", "rst"), ("S", "syn"), ("F", "fin")):
        if letter in letters:
            return word
    return "data"
