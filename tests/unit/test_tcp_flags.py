"""Flags are spelled in one way everywhere, and what is printed can be read back."""

from __future__ import annotations

import pytest
from handshake_lab.tcp import flags
from handshake_lab.tcp.segment import name_of
from hypothesis import given
from hypothesis import strategies as st

SETS = st.sets(st.sampled_from(flags.ORDER)).map(lambda found: "".join(c for c in flags.ORDER if c in found))


@given(SETS)
def test_names_are_read_back(letters: str) -> None:
    """Every combination, in the words of a ladder, of a narrow ladder, and of a cause."""
    assert flags.letters(flags.names(letters)) == letters
    assert not letters or flags.letters(letters) == letters
    assert flags.match(letters, flags.letters(name_of(letters)) or "")


@pytest.mark.parametrize("text", ["SYN-ACK", "SYN,ACK", "ACK-SYN", "syn-ack", "SA"])
def test_other_spellings_mean_the_same(text: str) -> None:
    """Commas, another order, lower case, a record's letters."""
    assert flags.letters(text) == "SA"


@pytest.mark.parametrize("text", ["", "-", "SYN-", "SYN ACK", "SYN-SYN", "SYM", "DATA", "any", "SS"])
def test_what_is_no_combination_is_none(text: str) -> None:
    """Neither half-read nor guessed."""
    assert flags.letters(text) is None


@pytest.mark.parametrize(
    ("segment", "matching"),
    [
        ("S", {"SYN"}),
        ("SEW", {"SYN", "SYN-ECE-CWR"}),
        ("SA", {"SYN-ACK"}),
        ("A", {"ACK"}),
        ("PA", {"ACK", "PSH-ACK"}),
        ("FA", {"FIN-ACK"}),
        ("FPA", {"FIN-ACK", "FIN-PSH-ACK"}),
        ("RA", {"RST-ACK"}),
        ("", {"none"}),
    ],
)
def test_a_combination_matches_what_has_its_flags(segment: str, matching: set[str]) -> None:
    """PSH, URG, ECE and CWR may be set besides; SYN, FIN, RST and ACK may not."""
    names = ["SYN", "SYN-ACK", "ACK", "PSH-ACK", "FIN-ACK", "FIN-PSH-ACK", "RST-ACK", "SYN-ECE-CWR", "none"]

    assert {name for name in names if flags.match(segment, flags.letters(name) or "")} == matching
