"""A segment's control bits, in the words of the field."""

from __future__ import annotations

# In the usual order of speech: SYN-ACK, FIN-ACK, PSH-ACK.
_NAMES = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "W": "CWR"}


def names(letters: str) -> str:
    """Spell flags out: ``SA`` is ``SYN-ACK``; no flag at all is ``none``."""
    return "-".join(name for letter, name in _NAMES.items() if letter in letters) or "none"


def kind(letters: str) -> str:
    """What a segment is for, as the name of a style: syn, fin, rst, or data."""
    for letter, word in (("R", "rst"), ("S", "syn"), ("F", "fin")):
        if letter in letters:
            return word
    return "data"
