"""A segment's control bits, in the words of the field."""

from __future__ import annotations

# In the order in which they are spoken: SYN,ACK and FIN,ACK, but PSH,ACK.
_NAMES = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "W": "CWR"}


def names(letters: str) -> str:
    """Spell flags out: ``SA`` is ``SYN,ACK``; no flag at all is ``none``."""
    return ",".join(name for letter, name in _NAMES.items() if letter in letters) or "none"


def kind(letters: str) -> str:
    """The one word that tells what a segment is for: syn, fin, rst, or data."""
    for letter, word in (("R", "rst"), ("S", "syn"), ("F", "fin")):
        if letter in letters:
            return word
    return "data"
