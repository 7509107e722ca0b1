"""Whatever translators a segment passes and wherever it is lost, it is one segment, with its sender and receiver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.reconcile.segments.matching import join
from handshake_lab.recording.node_addresses import Nodes
from handshake_lab.recording.observations import SegmentSeen
from handshake_lab.tcp import craft
from handshake_lab.tcp.address import Address
from handshake_lab.tcp.segment import decode
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from handshake_lab.reconcile.segments.matching import MatchedSegments

MS = 1_000_000
CLIENT, SERVER = Address("10.0.0.2", 40000), Address("10.9.0.2", 80)
ETHERNET = bytes(12) + b"\x08\x00"


class Path:
    """A client, routers that each translate its address or leave it, and a server. ``seen`` is what captures show."""

    def __init__(self, translators: Sequence[bool]) -> None:
        self.nodes = {"h1": [CLIENT.ip], "h2": [SERVER.ip]}
        self.flows = [(CLIENT, SERVER)]  # on each link, towards the server
        for number, translates in enumerate(translators, 1):
            self.nodes[f"r{number}"] = [f"10.{number}.0.1"]
            source, target = self.flows[-1]
            self.flows.append(
                (Address(f"10.{number}.0.1", 50_000 + number), target) if translates else (source, target)
            )
        self.seen: list[SegmentSeen] = []

    def send(
        self, t: int, kind: str, seq: int, ack: int | None, *, back: bool, links: int = 9, stopped: bool = False
    ) -> tuple[str, str, bool]:
        """Send a segment that is lost behind a number of links, or ``stopped`` by the router there.

        Returns:
            Its sender, its receiver, and whether it arrives. A translator that neither passes on nor answers what has
            its own address has dropped it: it is for the host behind.
        """
        flows = [(dst, src) for src, dst in reversed(self.flows)] if back else self.flows
        nodes = ["h1", *(f"r{number}" for number in range(1, len(self.flows))), "h2"]
        nodes = nodes[::-1] if back else nodes
        for place, (src, dst) in enumerate(flows):
            if stopped and place == links and place > 0:
                return nodes[0], nodes[-1], False
            frame = craft.segment(ETHERNET, src, dst, kind, seq, ack)
            self._see(t, nodes[place], "out", "sent", frame)
            if place == links:
                return nodes[0], nodes[-1], False
            t += MS
            self._see(t, nodes[place + 1], "in", "received", frame)
        return nodes[0], nodes[-1], True

    def _see(self, t: int, node: str, interface: str, direction: Literal["sent", "received"], frame: bytes) -> None:
        segment = decode(frame)
        assert segment is not None
        kept = {name: getattr(segment, name) for name in ("src", "dst", "flags", "seq", "ack", "length", "window")}
        self.seen.append(SegmentSeen(t=t, node=node, interface=interface, direction=direction, frame=frame, **kept))

    def joined(self) -> MatchedSegments:
        """What is made of it."""
        return join(enumerate(sorted(self.seen, key=lambda seen: seen.t)), Nodes(self.nodes))


links = st.integers(min_value=0, max_value=9)


@settings(deadline=None)
@given(
    translators=st.lists(st.booleans(), max_size=4),
    sent=st.lists(st.tuples(st.booleans(), links, st.booleans()), min_size=1, max_size=12),
)
def test_each_segment_is_one(translators: list[bool], sent: list[tuple[bool, int, bool]]) -> None:
    """As many as were sent, each from its end to the other, arrived or lost as it was."""
    path = Path(translators)
    expected = [path.send(0, "SYN", 100, None, back=False)]
    for number, (back, far, stopped) in enumerate(sent, 1):
        at = number * 100 * MS
        expected.append(path.send(at, "ACK", 101 + number, 501 + number, back=back, links=far, stopped=stopped))

    found = path.joined().segments

    assert [(each.sender, each.receiver, not each.lost) for each in found] == expected
    assert all(each.sent is not None for each in found)


@given(translators=st.lists(st.booleans(), min_size=1, max_size=4), far=st.integers(1, 4), back=st.booleans())
def test_where_a_segment_was_stopped(translators: list[bool], far: int, back: bool) -> None:
    """The last router that a lost segment came to is named."""
    path = Path(translators)
    path.send(0, "SYN", 100, None, back=False)
    _, _, arrives = path.send(100 * MS, "ACK", 101, 501, back=back, links=far, stopped=True)
    *_, last = path.joined().segments
    routers = [f"r{number}" for number in range(1, len(path.flows))]

    assert last.stopped_at == ("" if arrives else (routers[::-1] if back else routers)[far - 1])


@given(translators=st.lists(st.booleans(), min_size=1, max_size=4))
def test_each_end_has_its_own_addresses(translators: list[bool]) -> None:
    """The server's end of the connection is with the last translator's address, and numbers count from one SYN."""
    path = Path(translators)
    path.send(0, "SYN", 100, None, back=False)
    path.send(100 * MS, "SYN-ACK", 500, 101, back=True)
    path.send(200 * MS, "ACK", 101, 501, back=False)
    joined = path.joined()

    source, _ = path.flows[-1]
    assert [leg.segment.number for leg in joined.legs["h1", CLIENT, SERVER]] == [1, 2, 3]
    assert [leg.segment.number for leg in joined.legs["h2", SERVER, source]] == [1, 2, 3]
    assert [(each.rel_seq, each.rel_ack) for each in joined.segments] == [(0, 0), (0, 1), (1, 1)]


def test_a_routers_own_segment() -> None:
    """What leaves a router and had not come to it is the router's, whatever address it carries."""
    path = Path([False])
    path.send(0, "SYN", 100, None, back=False, links=1, stopped=True)
    frame = craft.segment(ETHERNET, SERVER, CLIENT, "RST-ACK", 0, 101)
    path._see(MS, "r1", "in", "sent", frame)
    path._see(2 * MS, "h1", "out", "received", frame)
    syn, reset = path.joined().segments

    assert (syn.lost, syn.stopped_at) == (True, "r1")
    assert (reset.sender, reset.receiver, reset.sent) == ("r1", "h1", MS)


@given(translators=st.lists(st.booleans(), min_size=1, max_size=3))
def test_a_duplicate_made_at_a_router(translators: list[bool]) -> None:
    """What a router sends twice and received once is one segment and a copy: it opens no connection of the router's."""
    path = Path(translators)
    path.send(0, "SYN", 100, None, back=False)
    source, target = path.flows[-1]
    again = craft.segment(ETHERNET, source, target, "SYN", 100, None)
    last = f"r{len(translators)}"
    path._see(len(translators) * MS, last, "out", "sent", again)
    path._see((len(translators) + 1) * MS, "h2", "in", "received", again)
    original, copy = path.joined().segments

    assert (original.sender, original.receiver, original.lost) == ("h1", "h2", False)
    assert (copy.copies, copy.sent) == (original.number, None)
