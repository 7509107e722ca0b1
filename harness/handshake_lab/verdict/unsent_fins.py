"""FINs that were queued and not sent while their endpoint was in the state that the call entered.

Linux enters FIN-WAIT-1 or LAST-ACK when close() or shutdown() queues the FIN, even if data before it cannot be sent
(net/ipv4/tcp.c, the comment "RED-PEN" in __tcp_close()). RFC 9293, 3.10.4, does so in ESTABLISHED, too ("in any case,
enter FIN-WAIT-1"), and a FIN that arrives then leads to CLOSING (3.10.7.4). In CLOSE-WAIT it waits until the FIN is
sent.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.recording.messages import Message, sentence
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.recording.history import Endpoint, Record
    from handshake_lab.tcp.address import Address

_FINDINGS = {State.FIN_WAIT_1: "fin_queued", State.LAST_ACK: "fin_queued_last_ack"}
#: Nanoseconds by which the clocks of the capture and of the tracepoint may differ.
_TOLERANCE = 1_000_000


class UnsentFin(NamedTuple):
    """A transition without its FIN, by indexes in the record, and the finding about it.

    ``later`` is whether the FIN was sent in a later state.
    """

    endpoint: int
    transition: int
    later: bool
    message: Message


def unsent_fins(record: Record) -> Iterator[UnsentFin]:
    """Every transition of a captured endpoint that means a FIN, if none was captured before the next transition."""
    flows: dict[tuple[str, Address, Address], list[int]] = defaultdict(list)
    for segment in record.segments:
        if segment.sent is not None:
            fins = flows[segment.sender, segment.src, segment.dst]
            if "F" in segment.flags:
                fins.append(segment.sent)
    for place, end in enumerate(record.endpoints):
        flow = end.node, end.local, end.remote
        if flow in flows and end.node not in record.blurred:  # otherwise the FIN may be among the lost segments
            yield from _of_endpoint(place, end, flows[flow])


def _of_endpoint(place: int, end: Endpoint, fins: list[int]) -> Iterator[UnsentFin]:
    lefts = [after.time for _, after in pairwise(end.transitions)] + [end.ended]
    for number, (step, left) in enumerate(zip(end.transitions, lefts, strict=False)):
        code = _FINDINGS.get(step.new)
        if code is None or step.flaw == "gap":
            continue
        sent = [at for at in fins if at >= step.earliest - _TOLERANCE]
        if sent and sent[0] <= left + _TOLERANCE:
            continue
        what = {"who": f"{end.node} {end.local}", "step": f"{step.old}→{step.new}", "time": f"{step.time / 1e9:.3f}"}
        yield UnsentFin(place, number, bool(sent), sentence(code, **what))
