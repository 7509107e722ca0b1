"""What happened, in a few sentences: right for every recording, silent where the record does not prove it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.layout.outline import outline
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.states import State
from msgspec import structs
from recordings import RUNS, recorded
from report_records import ALL, lost_syn_ack, many, normal, reset_by_the_client

if TYPE_CHECKING:
    from handshake_lab.recording.history import Record

NAMES = sorted(path.stem for path in RUNS.glob("*.jsonl"))


def text_of(record: Record, lang: str = "en") -> str:
    """The sentences as text."""
    return " ".join(words(lang).message(each) for each in outline(record, connections(record)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normal", "h1 connected to h2 in 100 ms. h1 closed first and waited 60.9 s in TIME-WAIT."),
        ("server_first", "h1 connected to h2 in 100 ms. h2 closed first and waited 60.9 s in TIME-WAIT."),
        ("refused", "h2 refused the connection from h1 to port 81 with a RST."),
        ("syn_blackhole", "h1 sent 11 SYNs to h2, all of which were lost, and gave up after 135 s."),
        ("close_in_ss", "h1 closed the socket after 300 ms, before it was connected to h2."),
        ("linger0", "h1 connected to h2 in 100 ms. h1 reset the connection: its close() sent a RST."),
        ("unread", "h1 connected to h2 in 100 ms. h2 sent 100 B. h1 reset the connection: its close() sent a RST."),
        (
            "fin_blackhole",
            (
                "h1 connected to h2 in 100 ms. h1 gave up the connection after 158 s without a segment from h2 "
                "(the retransmission timer)."
            ),
        ),
        (
            "keepalive",
            (
                "h1 connected to h2 in 100 ms. h1 gave up the connection after 4.08 s without a segment from h2 "
                "(the keepalive timer)."
            ),
        ),
        ("sim_close", "h1 connected to h2 in 100 ms. Both sides closed at the same time."),
        (
            "sim_open",
            "h1 and h2 opened the connection at the same time. h1 closed first and waited 60.1 s in TIME-WAIT.",
        ),
        (
            "held_f2",
            (
                "h1 connected to h2 in 100 ms. h1 closed first. h2 did not close: it was in CLOSE-WAIT for 170 s, "
                "until the recording ended."
            ),
        ),
        ("third_ack_never", "h1 was connected, but h2 never became ESTABLISHED."),
        ("tw_overflow", "h1 connected to h2 in 100 ms. h1 closed first."),
        (
            "unsent_fin_later",
            "h1 connected to h2 in 100 ms. h1 sent 8,000 B. h1 closed first and waited 60.9 s in TIME-WAIT.",
        ),
    ],
)
def test_recordings_in_short(name: str, expected: str) -> None:
    """Each way to open and to end a connection, as Linux took it."""
    assert text_of(reconcile(recorded(name))) == expected


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("record", [*(reconcile(recorded(name)) for name in NAMES), *(make() for make in ALL.values())])
def test_no_sentence_contradicts_the_record(record: Record, lang: str) -> None:
    """What the sentences claim is derived from the record in another way."""
    codes = {each.code: each.values for each in outline(record, connections(record))}
    visited = {state for end in record.endpoints for state in end.states}
    resets = [each for each in record.segments if "R" in each.flags]
    if {"outline_opened", "outline_syn_lost", "outline_opened_late"} & codes.keys():
        assert State.ESTABLISHED in visited
    if {"outline_syn_lost", "outline_opened_late"} & codes.keys():
        assert any(each.lost or each.damaged for each in record.segments)
    if {"outline_refused", "outline_reset", "outline_reset_by_call"} & codes.keys():
        assert any(each.sent is not None for each in resets)
    if "outline_syns_lost" in codes:
        assert all(each.lost or each.damaged for each in record.segments if each.flags == "S")
    if "outline_closed_first_waited" in codes:
        assert State.TIME_WAIT in visited
    if "outline_still_open" in codes:
        assert State.CLOSE_WAIT not in visited
        assert not any("F" in each.flags for each in record.segments)
    if "outline_never_closed" in codes:
        assert any(end.states and end.states[-1] is State.CLOSE_WAIT for end in record.endpoints)
    text = text_of(record, lang)
    assert "{" not in text
    assert len(outline(record, connections(record))) <= 6
    assert not re.search(r"\b(None|nan|-\d)", text)


def test_a_lost_syn_is_the_first_sentence() -> None:
    """And what was lost of a handshake otherwise is listed."""
    assert text_of(lost_syn_ack()).startswith("h1 and h2 were connected after ")
    assert "lost in the handshake: 1 SYN-ACK." in text_of(lost_syn_ack())
    record = normal()
    syn = next(each for each in record.segments if each.flags == "S")
    lost = structs.replace(syn, received=None)
    again = structs.replace(syn, number=99, sent=(syn.sent or 0) + 1_010_000_000, retransmits=syn.number)
    later = [
        structs.replace(each, sent=(each.sent or 0) + 1_010_000_000) for each in record.segments if each is not syn
    ]
    assert text_of(structs.replace(record, segments=(lost, again, *later))).startswith(
        "h1's first SYN was lost; sent again after 1.01 s, it opened the connection to h2."
    )


def test_nothing_is_claimed_of_what_was_not_captured() -> None:
    """A capture that lost segments may have missed the one that matters."""
    record = normal()
    assert text_of(record)
    assert text_of(structs.replace(record, blurred=frozenset({"h2"}))) == ""
    assert text_of(structs.replace(record, endpoints=(), segments=())) == ""


def test_many_connections_are_counted() -> None:
    """One sentence for all of them."""
    text = text_of(reconcile(recorded("queue_full3")))
    assert text == "3 connections from h1 to h2, 2 open until the recording ended."


def test_resets_are_counted_whoever_caused_them() -> None:
    """Also those of a program's own close()."""
    assert text_of(many(1, reset_by_the_client)).endswith("reset the connection: its close() sent a RST.")
    assert text_of(many(3, reset_by_the_client)) == "3 connections from h1 to h2, 3 reset."


def test_one_syn_is_not_several() -> None:
    """Of a client that may not repeat it (tcp_syn_retries = 0), lost or not."""
    record = reconcile(recorded("syn_blackhole"))
    first = next(each for each in record.segments if each.flags == "S")
    text = text_of(structs.replace(record, segments=(first,)))

    assert text.startswith("h1 sent one SYN to h2 and gave up after ")
    assert text.endswith("; lost: 1.")
