"""A segment's control bits, as the name of a style."""

from __future__ import annotations


def kind(letters: str) -> str:
    """What a segment is for, as the name of a style: syn, fin, rst, or data."""
    for letter, word in (("R", "rst"), ("S", "syn"), ("F", "fin")):
        if letter in letters:
            return word
    return "data"
