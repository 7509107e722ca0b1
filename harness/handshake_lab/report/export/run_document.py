"""The document of a run: ``handshake demo --json``, ``record --json``, ``show --json``.

Times are seconds since the recording began; states have the names of RFC 9293. The first state of an endpoint is
that in which it was when the recording began: its time is 0 and it has no cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from handshake_lab.recording.observations import FORMAT_VERSION, Witness
from handshake_lab.report.export.json_document import Document, KernelDocument, Seconds, Statement
from handshake_lab.tcp.options import show_options
from handshake_lab.tcp.states import State
from handshake_lab.verdict.losses import why_lost
from handshake_lab.verdict.without_effect import why_ignored

if TYPE_CHECKING:
    from handshake_lab.recording.history import Endpoint, Record, Transition, TransmittedSegment
    from handshake_lab.recording.messages import Message
    from handshake_lab.verdict.judge import Finding, Verdict


class CauseDocument(msgspec.Struct, frozen=True):
    """Why a state was entered. ``segment`` is the number of the segment that caused it, null where none did."""

    kind: Literal["segment", "call", "timer", "reset", "unknown"]
    code: str
    text: str
    segment: int | None


class StateDocument(msgspec.Struct, frozen=True, omit_defaults=True):
    """A state that an endpoint entered.

    It was entered at ``time``; if no observer reported the exact time, between ``earliest`` and ``time``. ``witnesses``
    are the observers that reported it. ``edge`` is the id of the edge in ``handshake edges``. ``inferred`` states were
    not observed, but the diagram has no other path. ``flaw``: "gap" if states before this one
    may be missing; ``objection`` describes it.
    """

    state: State
    time: Seconds
    witnesses: list[Witness]
    cause: CauseDocument | None
    earliest: Seconds | None = None
    edge: str | None = None
    inferred: bool = False
    flaw: Literal["gap"] | None = None
    objection: Statement | None = None


class EndpointDocument(msgspec.Struct, frozen=True):
    """One side of a connection, or a listener without connections.

    ``local`` and ``remote`` are ADDRESS:PORT, with IPv6 addresses in brackets. The last state lasted at least until
    ``watched_until``.
    """

    node: str
    role: Literal["client", "server", "listener"]
    local: str
    remote: str
    states: list[StateDocument]
    watched_until: Seconds


class TranslatedDocument(msgspec.Struct, frozen=True):
    """The addresses with which a segment arrived, or would have arrived, behind routers that translate them (NAT)."""

    src: str
    dst: str


class SegmentDocument(msgspec.Struct, frozen=True):
    """One TCP segment on its way, a UDP datagram (``protocol``), or an ICMP error about either.

    The number of a datagram follows those of all segments; it has no flags, and its numbers are 0.
    ``name`` spells out ``flags``; ``icmp`` names the error, "" for a TCP segment. ``rel_seq`` and ``rel_ack`` count
    from the initial sequence numbers; ``ack`` and ``rel_ack`` are null in a segment without ACK. ``length`` counts the
    bytes of payload. ``sent`` is null if no host sent it, ``received`` if it did not arrive (``lost``).
    ``damaged`` segments arrived changed and were dropped. ``retransmits`` and ``copies`` are numbers of earlier
    segments: whose sequence numbers the sender sent again, and which one the network duplicated. ``stopped_at`` is the
    last router that a lost segment reached, "" if none. ``ignored`` is the reason why a segment that arrived had no
    effect, by the reports and counters of its receiver's kernel; null if these do not show it. ``dropped`` is the
    reason why a lost segment was lost, null if that is not known.
    ``options`` are those of the header, as in ``net.inject``: ``mss:1460,sackok,ts:1:0,nop,ws:7``; ``raw_options``
    are the same as hexadecimal digits. ``window`` is the field; ``scaled_window`` is bytes, null if the SYNs are not
    on record.
    """

    number: int
    sender: str
    receiver: str
    src: str
    dst: str
    flags: str
    name: str
    seq: int
    ack: int | None
    rel_seq: int
    rel_ack: int | None
    length: int
    window: int
    sent: Seconds | None
    received: Seconds | None
    lost: bool
    damaged: bool
    retransmits: int | None
    copies: int | None
    translated: TranslatedDocument | None
    stopped_at: str
    icmp: str
    ignored: Statement | None
    protocol: Literal["TCP", "UDP"]
    dropped: Statement | None
    options: str
    raw_options: str
    scaled_window: int | None


class LinkChangeDocument(msgspec.Struct, frozen=True):
    """A script cut a link, mended it, or set or cleared impairments (``change``, as in ``--link``).

    ``link`` is "s1-h2" for both directions and "s1>h2" for one.
    """

    time: Seconds
    link: str
    action: Literal["cut", "mend", "set", "clear"]
    change: str


class CounterGrowthDocument(msgspec.Struct, frozen=True):
    """By how much counters of a host grew after ``since``, until ``time``: those that show why segments are ignored."""

    time: Seconds
    since: Seconds
    node: str
    grown: dict[str, int]


class QueueDocument(msgspec.Struct, frozen=True):
    """A queue that dropped packets: its interface, its direction of a link ("s1>h2"), its impairment, and how many."""

    interface: str
    link: str
    asked: str
    dropped: int


class FindingDocument(msgspec.Struct, frozen=True):
    """One line of a verdict.

    ``ok`` is false for a deviation from RFC 9293, true for an endpoint without one, null for information. ``endpoint``
    is an index into ``endpoints``, ``state`` one into its ``states``, ``segment`` the number of a segment.
    """

    ok: bool | None
    code: str
    text: str
    endpoint: int | None
    state: int | None
    segment: int | None


class VerdictDocument(msgspec.Struct, frozen=True):
    """Whether every transition is an edge of RFC 9293's diagram, and the findings."""

    ok: bool
    code: str
    text: str
    findings: list[FindingDocument]


class RunDocument(Document, frozen=True, tag="run"):
    """A recorded run.

    ``replay`` is the command that repeats it, "" if there is none. ``observers`` maps each observer to "" or to the
    reason why it was not available. ``counters`` are the increases of the kernel's TCP counters, by host and name;
    ``counter_growth`` lists each increase of those that show why segments had no effect.
    ``full_queues`` are the numbers of packets that full queues dropped, by interface; it is empty if packets may have
    been dropped for another reason. ``complete`` is false if the recording stopped before the run ended.
    """

    kernel: KernelDocument
    topology: str
    links: list[str]
    faults: list[str]
    observers: dict[str, str]
    replay: str
    complete: bool
    endpoints: list[EndpointDocument]
    segments: list[SegmentDocument]
    datagrams: list[SegmentDocument]
    link_changes: list[LinkChangeDocument]
    counters: dict[str, dict[str, int]]
    counter_growth: list[CounterGrowthDocument]
    full_queues: dict[str, int]
    queues: list[QueueDocument]
    objections: list[Statement]
    verdict: VerdictDocument


def run_document(record: Record, verdict: Verdict) -> RunDocument:
    """Describe a run for programs.

    Args:
        record: The run.
        verdict: What `handshake_lab.verdict.judge.judge` found about it.
    """
    header = record.header
    why, lost = why_ignored(record), why_lost(record)
    return RunDocument(
        version=FORMAT_VERSION,
        kernel=KernelDocument.of(header.kernel),
        topology=header.topology,
        links=header.links,
        faults=header.faults,
        observers=header.observers,
        replay=header.replay,
        complete=record.complete,
        endpoints=[_endpoint(endpoint) for endpoint in record.endpoints],
        segments=[_segment(each, why.get(each.number), lost.get(each.number)) for each in record.segments],
        datagrams=[_segment(datagram, None, None) for datagram in record.datagrams],
        link_changes=[
            LinkChangeDocument(Seconds(each.t), each.link, each.action, each.change) for each in record.link_changes
        ],
        counters=record.counters,
        counter_growth=[
            CounterGrowthDocument(Seconds(each.t), Seconds(each.since), each.node, each.grown)
            for each in record.counter_growth
        ],
        full_queues=record.full_queues,
        queues=[QueueDocument(each.interface, each.link, each.asked, each.dropped) for each in record.queues],
        objections=[Statement.of(each) for each in record.objections],
        verdict=_verdict(verdict),
    )


def _endpoint(endpoint: Endpoint) -> EndpointDocument:
    states: list[StateDocument] = []
    if endpoint.transitions:
        states.append(StateDocument(endpoint.transitions[0].old, Seconds(0), [], None))
    states += [_state(step) for step in endpoint.transitions]
    return EndpointDocument(
        endpoint.node, endpoint.role, str(endpoint.local), str(endpoint.remote), states, Seconds(endpoint.ended)
    )


def _state(step: Transition) -> StateDocument:
    statement = Statement.of(step.cause.message)
    return StateDocument(
        state=step.new,
        time=Seconds(step.time),
        witnesses=list(step.witnesses),
        cause=CauseDocument(step.cause.kind, statement.code, statement.text, step.cause.segment),
        earliest=None if step.earliest == step.time else Seconds(step.earliest),
        edge=step.edge,
        inferred=step.inferred,
        flaw=step.flaw,
        objection=None if step.objection is None else Statement.of(step.objection),
    )


def _segment(segment: TransmittedSegment, ignored: Message | None, dropped: Message | None) -> SegmentDocument:
    acknowledges = "A" in segment.flags
    return SegmentDocument(
        number=segment.number,
        sender=segment.sender,
        receiver=segment.receiver,
        src=str(segment.src),
        dst=str(segment.dst),
        flags=segment.flags,
        name=segment.name,
        seq=segment.seq,
        ack=segment.ack if acknowledges else None,
        rel_seq=segment.rel_seq,
        rel_ack=segment.rel_ack if acknowledges else None,
        length=segment.length,
        window=segment.window,
        sent=None if segment.sent is None else Seconds(segment.sent),
        received=None if segment.received is None else Seconds(segment.received),
        lost=segment.lost,
        damaged=segment.damaged,
        retransmits=segment.retransmits,
        copies=segment.copies,
        translated=None if segment.translated is None else TranslatedDocument(*map(str, segment.translated)),
        stopped_at=segment.stopped_at,
        icmp=segment.icmp,
        ignored=None if ignored is None else Statement.of(ignored),
        protocol=segment.protocol,
        dropped=None if dropped is None else Statement.of(dropped),
        options=show_options(segment.raw_options),
        raw_options=segment.raw_options.hex(),
        scaled_window=segment.scaled_window,
    )


def _verdict(verdict: Verdict) -> VerdictDocument:
    statement = _statement(verdict.message, verdict.summary)
    return VerdictDocument(
        verdict.ok, statement.code, statement.text, [_finding(finding) for finding in verdict.findings]
    )


def _finding(finding: Finding) -> FindingDocument:
    statement = _statement(finding.message, finding.text)
    # The first state of an endpoint has no transition.
    state = None if finding.transition is None else finding.transition + 1
    return FindingDocument(finding.ok, statement.code, statement.text, finding.endpoint, state, finding.segment)


def _statement(message: Message | None, text: str) -> Statement:
    """A verdict or a finding that `judge` did not make has a text only."""
    return Statement("", text) if message is None else Statement.of(message)
