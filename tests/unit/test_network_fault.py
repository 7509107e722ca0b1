"""Fault descriptions: every form, what is refused and how, which segments they hit, and round trips."""

from __future__ import annotations

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.network.faults import drop_rules
from handshake_lab.plan.fault import ACTIONS, KINDS, MADE, Fault
from handshake_lab.plan.fault_matching import is_kind
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import Segment
from hypothesis import given, settings
from hypothesis import strategies as st

WRITTEN = [
    ("drop SYN nth=1 from h1", Fault("drop", "SYN", nth=(1,), sender="h1")),
    ("drop syn-ack nth=3,1", Fault("drop", "SYN-ACK", nth=(1, 3))),
    ("drop ACK", Fault("drop", "ACK")),
    ("drop ACK all to h2", Fault("drop", "ACK", receiver="h2")),
    ("drop FIN first=2", Fault("drop", "FIN", first=2)),
    ("drop DATA every=2 port=80 optional", Fault("drop", "DATA", every=2, port=80, optional=True)),
    ("delay FIN 300ms", Fault("delay", "FIN", by=300_000_000)),
    ("delay FIN by 300ms", Fault("delay", "FIN", by=300_000_000)),
    ("duplicate SYN", Fault("duplicate", "SYN", copies=1)),
    ("duplicate SYN copies=3", Fault("duplicate", "SYN", copies=3)),
    ("reorder DATA nth=2", Fault("reorder", "DATA", nth=(2,), behind=1)),
    ("corrupt any nth=4", Fault("corrupt", "any", nth=(4,))),
    ("hold ACK", Fault("hold", "ACK")),
    ("drop SYN,ACK nth=1", Fault("drop", "SYN-ACK", nth=(1,))),
    ("drop PSH-ACK nth=1", Fault("drop", "PSH-ACK", nth=(1,))),
    ("drop ack-psh-fin", Fault("drop", "FIN-PSH-ACK")),
    ("delay FIN-ACK 300ms", Fault("delay", "FIN-ACK", by=300_000_000)),
    ("drop none", Fault("drop", "none")),
    ("inject RST to h2 on SYN-ACK nth=1", Fault("inject", "RST", receiver="h2", on="SYN-ACK", nth=(1,))),
    ("inject FIN-PSH-ACK to h2 on PSH,ACK", Fault("inject", "FIN-PSH-ACK", receiver="h2", on="PSH-ACK")),
    (
        "inject ACK to h1 from h2 seq=-5 ack=+10 on any first=2",
        Fault("inject", "ACK", sender="h2", receiver="h1", seq=-5, ack=10, on="any", first=2),
    ),
]

REFUSED = [
    ("", "", "does not describe a fault"),
    ("drup SYN", "action", "the nearest is 'drop'"),
    ("drop", "segment", "does not name a kind of segment"),
    ("drop SYM", "segment", "the nearest is 'SYN'"),
    ("drop SYN nth=0", "nth", "is below 1"),
    ("drop SYN nth=x", "nth", "is not a whole number"),
    ("drop SYN nth=", "nth", "is not a whole number"),
    ("drop SYN first=-1", "first", "is not a whole number"),
    ("drop SYN nth=1 first=2", "nth", "uses more than one of nth, first and every"),
    ("drop SYN nth=1 nth=2", "nth", "is given twice"),
    ("drop SYN all nth=1", "nth", "contradicts 'all'"),
    ("drop SYN fro h1", "fro", "the nearest is 'from'"),
    ("drop SYN from", "from", "has no value"),
    ("drop SYN from h1 to h1", "to", "is also the sender"),
    ("drop SYN from h/1", "from", "is not the name of a host"),
    ("drop SYN port=70000", "port", "is above 65535"),
    ("drop SYN 300ms", "by", "has by, which is for delay and stop only"),
    ("drop SYN seq=5", "seq", "which are for inject only"),
    ("delay FIN", "by", "has no duration"),
    ("delay FIN 300", "by", "has no unit"),
    ("delay FIN 0ms", "by", "is not a delay"),
    ("hold ACK copies=2", "copies", "which is for duplicate only"),
    ("inject RST on SYN", "to", "does not name the receiver"),
    ("inject RST to h2", "on", "does not name the segment after which"),
    ("inject RST to h2 seq=x on SYN", "seq", "is not a distance"),
    ("inject DATA to h2 on SYN", "segment", "is not a kind of segment"),
    ("drop SYN-SYN", "segment", "the nearest is 'SYN'"),
    ("drop FIN-", "segment", "the nearest is 'FIN'"),
]


@pytest.mark.parametrize(("text", "fault"), WRITTEN, ids=[text for text, _ in WRITTEN])
def test_a_fault_is_read_and_written_back(text: str, fault: Fault) -> None:
    """A description is read as meant, and its own text as the same."""
    assert fault == Fault.parse(text)
    assert fault == Fault.parse(str(fault))


@pytest.mark.parametrize(("text", "field", "reason"), REFUSED, ids=[text for text, _, _ in REFUSED])
def test_what_cannot_be_meant_is_refused_by_part(text: str, field: str, reason: str) -> None:
    """A refusal names the part, and why."""
    with pytest.raises(UsageError) as refusal:
        Fault.parse(text, field="--fault")

    assert f"--fault {field}".strip() == refusal.value.field
    assert reason in str(refusal.value)


def test_the_examples_in_messages_are_right() -> None:
    """Every action's example is a fault of that action."""
    assert list(ACTIONS) == [Fault.parse(example).action for example in ACTIONS.values()]


def test_python_and_text_mean_the_same() -> None:
    """Keywords and words come to the same value."""
    assert Fault.parse("drop SYN nth=1,3 from h1 to h2") == Fault.make("drop", "SYN", nth=(3, 1), from_="h1", to="h2")
    assert Fault.parse("delay FIN 300ms nth=1") == Fault.make("delay", "FIN", by="300ms", nth=1)
    assert not Fault.make("inject", "RST", to="h2").on


@pytest.mark.parametrize(
    ("how", "hit"),
    [
        ("", [1, 2, 3, 4, 5, 6]),
        ("nth=1", [1]),
        ("nth=1,3", [1, 3]),
        ("first=3", [1, 2, 3]),
        ("every=2", [2, 4, 6]),
        ("every=1", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_counting(how: str, hit: list[int]) -> None:
    """Which of six matching segments are hit."""
    fault = Fault.parse(f"drop SYN {how}")

    assert hit == [number for number in range(1, 7) if fault.hits(number)]


@pytest.mark.parametrize(
    ("flags", "length", "kinds"),
    [
        ("S", 0, {"SYN", "any"}),
        ("SEW", 0, {"SYN", "any"}),
        ("S", 10, {"SYN", "DATA", "any"}),
        ("SA", 0, {"SYN-ACK", "any"}),
        ("A", 0, {"ACK", "any"}),
        ("PA", 5, {"DATA", "any"}),
        ("A", 5, {"DATA", "any"}),
        ("FA", 0, {"FIN", "any"}),
        ("FPA", 5, {"FIN", "DATA", "any"}),
        ("R", 0, {"RST", "any"}),
        ("RA", 0, {"RST", "any"}),
    ],
)
def test_kinds(flags: str, length: int, kinds: set[str]) -> None:
    """Which kinds a segment is of."""
    one, other = Address("10.0.0.1", 1), Address("10.0.0.2", 2)
    segment = Segment(one, other, flags, 0, 0, length, 0, 0, b"")

    assert kinds == {kind for kind in KINDS if is_kind(segment, kind)}


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("SYN-ACK", "tcp flags & (fin|syn|rst|ack) == (syn|ack)"),
        ("FIN-ACK", "tcp flags & (fin|syn|rst|ack) == (fin|ack)"),
        ("PSH-ACK", "tcp flags & (fin|syn|rst|psh|ack) == (psh|ack)"),
        ("SYN-ECE-CWR", "tcp flags & (fin|syn|rst|ack|ecn|cwr) == (syn|ecn|cwr)"),
        ("none", "tcp flags & (fin|syn|rst|psh|ack|urg|ecn|cwr) == 0"),
    ],
)
def test_rules_match_combinations_of_flags(kind: str, match: str) -> None:
    """As the packet filter writes them."""
    assert match in drop_rules.drop("f0", Fault.make("drop", kind), ["s1-eth2"], [])


def test_rules_count_before_they_drop() -> None:
    """A fault's rules mark and count; what is marked is dropped behind, so faults do not disturb each other."""
    rules = drop_rules.drop("f0", Fault.parse("drop SYN nth=1,3 from h1 port=80"), ["s1-eth2"], ["10.0.0.1", "fd00::1"])

    assert "f0 numgen inc mod 4294967295 { 0, 2 } goto f0-hits" in rules
    assert "f0-hits counter meta mark set meta mark | 1" in rules
    assert 'oifname { "s1-eth2" } ip saddr { 10.0.0.1 } tcp flags & (fin|syn|rst|ack) == syn tcp sport 80' in rules
    assert "ip6 saddr { fd00::1 }" in rules
    assert " drop" not in rules
    assert "meta mark & 1 != 0 drop" in drop_rules.base(["s1-eth1", "s1-eth2"])


names = st.sampled_from(["h1", "h2", "web.1", "h/1", ""])
counts = st.one_of(
    st.just(""),
    st.lists(st.integers(0, 9), min_size=1, max_size=4).map(lambda found: "nth=" + ",".join(map(str, found))),
    st.integers(-1, 9).map(lambda n: f"first={n}"),
    st.integers(-1, 9).map(lambda n: f"every={n}"),
)
words = st.one_of(
    counts,
    names.map(lambda name: f"from {name}"),
    names.map(lambda name: f"to {name}"),
    st.sampled_from([*KINDS, "SYM"]).map(lambda kind: f"on {kind}"),
    st.integers(-9, 70_000).map(lambda n: f"port={n}"),
    st.integers(-9, 9).map(lambda n: f"seq={n:+d}"),
    st.integers(-9, 9).map(lambda n: f"ack={n:+d}"),
    st.sampled_from(["300ms", "0ms", "300", "optional", "all", "copies=2", "behind=3", "what", "=", "nth="]),
)
descriptions = st.tuples(
    st.sampled_from([*ACTIONS, "dorp"]),
    st.sampled_from([*KINDS, *MADE, "syn", "SYM", "PSH,ACK"]),
    st.lists(words, max_size=5),
).map(lambda parts: " ".join([parts[0], parts[1], *parts[2]]))


def read(text: str) -> Fault | UsageError:
    """The fault in a text, or why it is refused."""
    try:
        return Fault.parse(text, field="--fault")
    except UsageError as refusal:
        return refusal


@settings(max_examples=500, deadline=None)
@given(st.one_of(descriptions, st.text(max_size=20)))
def test_any_description_round_trips_or_is_refused_by_name(text: str) -> None:
    """The parser parses, formats and parses any text to the same value, or names the invalid part."""
    fault = read(text)

    if isinstance(fault, UsageError):
        assert fault.field.startswith("--fault")
        assert fault.example
    else:
        assert fault == Fault.parse(str(fault))


@pytest.mark.parametrize(
    "rest", ["nth=1", "first=2", "every=3", "port=80", "ipv4", "from h1 nth=1", "to h2", "optional"]
)
@pytest.mark.parametrize("kind", ["ICMP", "ICMP-port-unreachable", "UDP"])
def test_what_follows_a_kind_is_not_part_of_its_name(kind: str, rest: str) -> None:
    """ICMP errors have names of several words, as a ladder prints them."""
    fault = Fault.parse(f"drop {kind} {rest}")

    assert fault.kind == kind
    assert str(fault) == f"drop {kind} {rest}" or "from" in rest
