"""A segment's control bits: the letters of a record, the names that people read and type, and what they match."""

from __future__ import annotations

import re

#: In the order in which names are joined: SYN-ACK, FIN-PSH-ACK (RFC 9293, section 3.1; RFC 3168 for ECE and CWR).
NAMES = {"F": "FIN", "S": "SYN", "R": "RST", "P": "PSH", "A": "ACK", "U": "URG", "E": "ECE", "W": "CWR"}
#: The order of the letters in a record: what opens, what closes, then the rest.
ORDER = "SFRPAUEW"
#: The bits that decide what TCP does with a segment. The others only count if they are asked for.
DECISIVE = "SFRA"
#: What a segment without any flag is called.
NO_FLAGS = "none"

_LETTERS = {name: letter for letter, name in NAMES.items()}


def names(letters: str) -> str:
    """Spell flags out: "SA" is "SYN-ACK", "FPA" is "FIN-PSH-ACK"; `NO_FLAGS` if there are none."""
    return "-".join(name for letter, name in NAMES.items() if letter in letters) or NO_FLAGS


def letters(text: str) -> str | None:
    """Read what `names` writes, in any order and case; commas may join the names as well ("SYN,ACK").

    Letters ("SA") are accepted too: narrow ladders show them.

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
    """Whether a segment's flags match a combination that `letters` has read.

    All flags of the combination are set. SYN, FIN, RST and ACK are not set otherwise, while PSH, URG, ECE and CWR may
    be: "FIN-ACK" matches FIN-PSH-ACK. If nothing is wanted, no flag may be set.
    """
    if not wanted:
        return not flags
    return set(wanted) <= set(flags) and all(letter in wanted for letter in flags if letter in DECISIVE)
