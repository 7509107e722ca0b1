"""The grammar of faults is in one place, and every spelling in it is read; options of headers in text and bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.plan import fault_text, timed_action
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.timed_action import TimedAction
from handshake_lab.tcp.options import encode_options, show_options
from handshake_lab.tcp.segment import parse_options
from hypothesis import given
from hypothesis import strategies as st

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "faults.md").read_text()


def test_the_page_has_the_grammar() -> None:
    """The same text as in the help."""
    assert fault_text.GRAMMAR in PAGE
    assert timed_action.GRAMMAR in PAGE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop #11", Fault("drop", "any", number=11)),
        ("drop #11 FIN-ACK", Fault("drop", "FIN-ACK", number=11)),
        ("drop FIN-ACK #11", Fault("drop", "FIN-ACK", number=11)),
        ("drop #10 FIN-ACK seq=18 ack=16", Fault("drop", "FIN-ACK", number=10, rel_seq=18, rel_ack=16)),
        ("drop #8 PA seq=1 len=15 rtx #3", Fault("drop", "PSH-ACK", number=8, rel_seq=1, length=15)),
        ("drop #8 PA seq=1 ↻#3", Fault("drop", "PSH-ACK", number=8, rel_seq=1)),
        ("drop #5 -", Fault("drop", "none", number=5)),
        ("delay #4 300ms", Fault("delay", "any", number=4, by=300_000_000)),
        ("drop #7 ICMP port unreachable", Fault("drop", "ICMP-port-unreachable", number=7)),
        ("drop #7 ICMP fragmentation needed, MTU 1000", Fault("drop", "ICMP-fragmentation-needed", number=7)),
        ("drop ICMP port unreachable to h1", Fault("drop", "ICMP-port-unreachable", receiver="h1")),
        ("drop FIN nth=last", Fault("drop", "FIN", last=True)),
        ("drop SYN IPv6", Fault("drop", "SYN", family="ipv6")),
        ("drop udp port=53", Fault("drop", "UDP", port=53)),
        ("restart h2 on DATA nth=1 from h1", Fault("restart", "DATA", (1,), sender="h1", receiver="h2")),
        ("stop h2 10s on SYN port=80", Fault("stop", "SYN", receiver="h2", by=10_000_000_000, port=80)),
        ("kill h2 on #4 optional", Fault("kill", "any", receiver="h2", number=4, optional=True)),
        ("inject RST to h2 on #4", Fault("inject", "RST", receiver="h2", number=4)),
        (
            "inject ICMP-host-unreachable from r1 to h1 on SYN",
            Fault("inject", "ICMP-host-unreachable", sender="r1", receiver="h1", on="SYN"),
        ),
        (
            "inject ACK to h1 window=0 payload=abc options=nop,nop,ts:1:2 on any",
            Fault(
                "inject",
                "ACK",
                receiver="h1",
                window=0,
                payload=b"abc",
                options=encode_options("nop,nop,ts:1:2"),
                on="any",
            ),
        ),
    ],
)
def test_is_read_and_written_back(text: str, fault: Fault) -> None:
    """A text is parsed as intended, and so is its formatted value."""
    assert fault == Fault.parse(text)
    assert fault == Fault.parse(str(fault))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("drop #0", "is below 1"),
        ("drop #3 nth=2", "is one segment"),
        ("drop #x", "is not a kind of segment"),
        ("drop SYN nth=last first=2", "more than one of"),
        ("reorder UDP", "has no later segments"),
        ("drop SYN window=3", "which is for inject only"),
        ("inject SYN to h1 window=65536 on any", "does not fit into the window"),
        ("drop ICMP-nothing", "is not a kind of segment"),
        ("kill h2", "does not name the segment"),
        ("restart h2 on DATA to h1", "names a second host"),
        ("stop h2 on DATA", "has no duration"),
        ("kill h2 10s on DATA", "for delay and stop only"),
    ],
)
def test_is_refused(text: str, reason: str) -> None:
    """With the reason."""
    with pytest.raises(UsageError, match=reason):
        Fault.parse(text)


@pytest.mark.parametrize(
    ("when", "what"),
    [
        ("10s", "cut h1-s1 for 30s"),
        ("1500ms", "mend h1-s1"),
        ("2s", "clear h1-s1"),
        ("2s", "set h1>h2:loss=5% for 250ms"),
        ("2s", "set h1-h2:delay=50ms"),
        ("1s", "drop SYN nth=1 from h1 for 3s"),
        ("1s", "drop SYN optional"),
    ],
)
def test_an_action_is_read_and_written_back(when: str, what: str) -> None:
    """Its time and its text."""
    action = TimedAction.parse(when, what)

    assert (action.what, str(action)) == (what, f"{when} {what}")


def test_options_that_are_known() -> None:
    """As `handshake_lab.tcp.segment.parse_options` reads them."""
    raw = encode_options("mss:1400,sackok,ts:7:9,nop,ws:5")
    found = parse_options(raw)

    assert len(raw) % 4 == 0
    assert (found.mss, found.sack_permitted, found.timestamps, found.window_scale) == (1400, True, (7, 9), 5)
    assert parse_options(encode_options("nop,nop,sack:1-5:9-12")).sack == ((1, 5), (9, 12))
    assert parse_options(encode_options("tfo:0102030405060708")).fast_open == bytes(range(1, 9))
    assert encode_options("0xfd04dead") == bytes.fromhex("fd04dead")


words = st.one_of(
    st.integers(0, 65535).map("mss:{}".format),
    st.integers(0, 255).map("ws:{}".format),
    st.sampled_from(["sackok", "nop"]),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: f"ts:{pair[0]}:{pair[1]}"),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)).map(lambda pair: f"sack:{pair[0]}-{pair[1]}"),
)


@given(st.lists(words, max_size=4).map(",".join))
def test_options_round_trip(text: str) -> None:
    """What is written is what is shown again, up to the padding."""
    assert show_options(encode_options(text)).removesuffix("eol").rstrip(",") == text
