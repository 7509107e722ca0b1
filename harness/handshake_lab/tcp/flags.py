"""A segment's control bits: their letters in records, their names, and matching them."""

from __future__ import annotations

import re

#: In the order in which names are joined: SYN-ACK, FIN-PSH-ACK (RFC 9293, section 3.1; RFC 3168 for ECE and CWR).
NAMES = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "W": "CWR"}
#: The order of the letters in a record: the bits that open a connection, those that close it, then the others.
ORDER = "SFRPAUEW"
#: The bits that determine how TCP processes a segment. The others are compared only if the combination has them.
DECISIVE = "SFRA"
#: The name of a segment without flags.
NO_FLAGS = "none"

_LETTERS = {name: letter for letter, name in NAMES.items()}


def names(letters: str) -> str:
    """The names of flags: "SYN-ACK" for "SA", "FIN-PSH-ACK" for "FPA"; `NO_FLAGS` for none."""
    return "-".join(name for letter, name in NAMES.items() if letter in letters) or NO_FLAGS


def letters(text: str) -> str | None:
    """Parse the output of `names`, in any order and case; commas may join the names as well ("SYN,ACK").

    Letters ("SA") are accepted too, because narrow ladders show them.

    Returns:
        The letters in the order of `ORDER`; "" for `NO_FLAGS`; None if the text does not name flags.
    """
    if text.lower() == NO_FLAGS:
        return ""
    found = list(text) if set(text) <= set(ORDER) else [_LETTERS.get(name.upper()) for name in re.split("[-,]", text)]
    if not found or None in found or len(set(found)) < len(found):
        return None
    return "".join(letter for letter in ORDER if letter in found)


def match(flags: str, wanted: str) -> bool:
    """Whether a segment's flags match a combination that `letters` has parsed.

    All flags of the combination must be set. Of the others, PSH, URG, ECE and CWR may be set, but not SYN, FIN, RST and
    ACK: "FIN-ACK" matches FIN-PSH-ACK. The empty combination matches only segments without flags.
    """
    if not wanted:
        return not flags
    return set(wanted) <= set(flags) and all(letter in wanted for letter in flags if letter in DECISIVE)
