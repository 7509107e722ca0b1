"""Runs written by hand, for the tests of `handshake_lab.report`: small, and with known content."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal, Self

from handshake_lab.recording.history import Cause, Endpoint, Record, Transition, TransmittedSegment
from handshake_lab.recording.messages import Message, sentence
from handshake_lab.recording.observations import (
    FORMAT_VERSION,
    Address,
    Counters,
    FaultReport,
    KernelInfo,
    Observation,
    QdiscReport,
    RunEnd,
    RunHeader,
    SegmentSeen,
    StateChange,
    Step,
    Witness,
)
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Callable

S = State
MS = 1_000_000
SECOND = 1_000_000_000
DELAY = 50 * MS
TP, DIAG, CAPTURE, APP = Witness.TRACEPOINT, Witness.DIAG, Witness.CAPTURE, Witness.APPLICATION


class Story:
    """Composes the record of a run of two hosts, step by step. Times are in nanoseconds."""

    def __init__(self, *, left_port: int = 40000, links: tuple[str, ...] = ("delay 50ms",), delay: int = DELAY) -> None:
        self.addresses = {"h1": Address("10.0.0.1", left_port), "h2": Address("10.0.0.2", 80)}
        self.links = links
        self.delay = delay
        self.segments: list[TransmittedSegment] = []
        self.steps: dict[str, list[Transition]] = {"h1": [], "h2": []}
        self.roles = {"h1": "client", "h2": "server"}
        self.objections: tuple[Message, ...] = ()
        self._next = {"h1": 0, "h2": 0}

    def change(
        self,
        node: str,
        new: State,
        t: int,
        why: Message | str = "",
        *,
        segment: int | None = None,
        seen: tuple[Witness, ...] = (TP, DIAG),
        old: State | None = None,
        **doubts: object,
    ) -> Self:
        """Let a host enter a state: caused by a segment, a call (``close()``) or a timer."""
        reported = str(why)
        kind = (
            "segment"
            if segment
            else "call"
            if reported.endswith("()")
            else "timer"
            if "timer" in reported
            else "unknown"
        )
        before = old or (self.steps[node][-1].new if self.steps[node] else S.CLOSED)
        cause = Cause(kind, why, segment)  # type: ignore[arg-type]
        self.steps[node].append(Transition(before, new, t, t, seen, cause, **doubts))  # type: ignore[arg-type]
        return self

    def send(
        self, node: str, letters: str, t: int, *, length: int = 0, lost: bool = False, again: int | None = None
    ) -> int:
        """Let a host send a segment at a time; returns its number."""
        other = "h2" if node == "h1" else "h1"
        number = len(self.segments) + 1
        seq = self._next[node]
        if again is not None:
            seq = self.segments[again - 1].rel_seq
        else:
            self._next[node] += length + ("S" in letters) + ("F" in letters)
        known = [p for p in self.segments if p.sender == other and p.received is not None and p.received <= t]
        ack = max((p.rel_seq + p.length + ("S" in p.flags) + ("F" in p.flags) for p in known), default=0)
        self.segments.append(
            TransmittedSegment(
                number=number,
                sender=node,
                receiver=other,
                src=self.addresses[node],
                dst=self.addresses[other],
                flags=letters,
                seq=1000 + seq,
                ack=5000 + ack if "A" in letters else 0,
                rel_seq=seq,
                rel_ack=ack if "A" in letters else 0,
                length=length,
                window=64240,
                sent=t,
                received=None if lost else t + self.delay,
                retransmits=again,
            )
        )
        return number

    def endpoints(self, ended: int) -> list[Endpoint]:
        """What the hosts went through."""
        out = []
        for node, steps in self.steps.items():
            other = "h2" if node == "h1" else "h1"
            if steps:
                role = self.roles[node]
                mine, theirs = self.addresses[node], self.addresses[other]
                out.append(Endpoint(node, role, mine, theirs, 7 if node == "h1" else 8, tuple(steps), ended))  # type: ignore[arg-type]
        return out

    def record(self, ended: int) -> Record:
        """The run, watched until a time."""
        return Record(
            header(self.links), tuple(self.endpoints(ended)), tuple(self.segments), self.objections, complete=True
        )


def header(links: tuple[str, ...] = ("delay 50ms",), **changed: object) -> RunHeader:
    """A first line."""
    values: dict[str, object] = {
        "t": 0,
        "version": FORMAT_VERSION,
        "kernel": KernelInfo("lab", "6.1.0", 100, 1),
        "topology": "pair",
        "nodes": {"h1": ["10.0.0.1"], "h2": ["10.0.0.2"], "s1": []},
        "links": list(links),
        "faults": [],
        "observers": {"tracepoint": "", "diag": "", "capture": ""},
        "started": "2030-01-01T00:00:00Z",
    }
    return RunHeader(**(values | changed))  # type: ignore[arg-type]


def _opening(story: Story, t: int = 10 * MS) -> int:
    """CLOSED to ESTABLISHED on both sides; returns when the server got there."""
    d = story.delay
    story.change("h2", S.LISTEN, 5 * MS, "listen()", seen=(TP, DIAG, APP))
    story.change("h1", S.SYN_SENT, t, "connect()", seen=(TP, DIAG, APP))
    syn = story.send("h1", "S", t)
    story.change("h2", S.SYN_RECEIVED, t + d, sentence("received", what="SYN"), segment=syn, seen=(DIAG,))
    answer = story.send("h2", "SA", t + d)
    story.change("h1", S.ESTABLISHED, t + 2 * d, sentence("received", what="SYN-ACK"), segment=answer)
    third = story.send("h1", "A", t + 2 * d)
    story.change("h2", S.ESTABLISHED, t + 3 * d, sentence("received", what="ACK"), segment=third)
    return t + 3 * d


def _closing(story: Story, t: int) -> int:
    """The client closes first; returns when TIME-WAIT is over."""
    d = story.delay
    story.change("h1", S.FIN_WAIT_1, t, "close()", seen=(TP, APP))
    fin = story.send("h1", "FA", t)
    story.change("h2", S.CLOSE_WAIT, t + d, sentence("received", what="FIN"), segment=fin)
    ack = story.send("h2", "A", t + d)
    story.change("h1", S.FIN_WAIT_2, t + 2 * d, sentence("received", what="ACK"), segment=ack)
    story.change("h2", S.LAST_ACK, t + 3 * d, "close()", seen=(TP, APP))
    fin = story.send("h2", "FA", t + 3 * d)
    story.change("h1", S.TIME_WAIT, t + 4 * d, sentence("received", what="FIN"), segment=fin, seen=(DIAG,))
    last = story.send("h1", "A", t + 4 * d)
    story.change("h2", S.CLOSED, t + 5 * d, sentence("received", what="ACK"), segment=last)
    end = t + 4 * d + 61_700 * MS
    story.change("h1", S.CLOSED, end, sentence("time_wait_timer"), seen=(DIAG,))
    return end


def normal() -> Record:
    """A handshake, a little data, and the client closing first."""
    story = Story()
    t = _opening(story)
    story.send("h1", "PA", t, length=5)
    story.send("h2", "A", t + DELAY)
    end = _closing(story, t + 200 * MS)
    return story.record(end + SECOND)


def lost_syn_ack() -> Record:
    """The first SYN-ACK is lost: both sides send again after about a second."""
    story = Story(links=("delay 50ms",))
    t, d = 10 * MS, DELAY
    story.change("h2", S.LISTEN, 5 * MS, "listen()", seen=(TP, DIAG, APP))
    story.change("h1", S.SYN_SENT, t, "connect()", seen=(TP, DIAG, APP))
    syn = story.send("h1", "S", t)
    story.change("h2", S.SYN_RECEIVED, t + d, sentence("received", what="SYN"), segment=syn, seen=(DIAG,))
    first = story.send("h2", "SA", t + d, lost=True)
    story.send("h1", "S", t + 1024 * MS, again=syn)
    again = story.send("h2", "SA", t + 1074 * MS, again=first)
    story.change("h1", S.ESTABLISHED, t + 1124 * MS, sentence("received", what="SYN-ACK"), segment=again)
    third = story.send("h1", "A", t + 1124 * MS)
    story.change("h2", S.ESTABLISHED, t + 1174 * MS, sentence("received", what="ACK"), segment=third)
    return story.record(3 * SECOND)


def simultaneous_close() -> Record:
    """Both sides close before either FIN arrives."""
    story = Story()
    t, d = _opening(story) + 100 * MS, DELAY
    story.change("h1", S.FIN_WAIT_1, t, "close()", seen=(TP, APP))
    one = story.send("h1", "FA", t)
    story.change("h2", S.FIN_WAIT_1, t + 10 * MS, "close()", seen=(TP, APP))
    two = story.send("h2", "FA", t + 10 * MS)
    story.change("h2", S.CLOSING, t + d, sentence("received", what="FIN"), segment=one)
    ack_two = story.send("h2", "A", t + d)
    story.change("h1", S.CLOSING, t + 10 * MS + d, sentence("received", what="FIN"), segment=two)
    ack_one = story.send("h1", "A", t + 10 * MS + d)
    story.change("h1", S.TIME_WAIT, t + 2 * d, sentence("received", what="ACK"), segment=ack_two, seen=(DIAG,))
    story.change(
        "h2", S.TIME_WAIT, t + 10 * MS + 2 * d, sentence("received", what="ACK"), segment=ack_one, seen=(DIAG,)
    )
    end = t + 2 * d + 61_700 * MS
    story.change("h1", S.CLOSED, end, sentence("time_wait_timer"), seen=(DIAG,))
    story.change("h2", S.CLOSED, end + 10 * MS, sentence("time_wait_timer"), seen=(DIAG,))
    return story.record(end + SECOND)


def orphan() -> Record:
    """The client closes, the server never does: FIN-WAIT-2 expires, CLOSE-WAIT stays."""
    story = Story()
    t, d = _opening(story) + 100 * MS, DELAY
    story.change("h1", S.FIN_WAIT_1, t, "close()", seen=(TP, APP))
    fin = story.send("h1", "FA", t)
    story.change("h2", S.CLOSE_WAIT, t + d, sentence("received", what="FIN"), segment=fin)
    ack = story.send("h2", "A", t + d)
    story.change(
        "h1",
        S.FIN_WAIT_2,
        t + 2 * d,
        sentence("received", what="ACK"),
        segment=ack,
        seen=(DIAG,),
        objection=sentence("closed_ambiguous"),
    )
    story.change("h1", S.CLOSED, t + 61_600 * MS, sentence("fin_wait_2_timer"), seen=(), inferred=True)
    return story.record(t + 75 * SECOND)


def bulk(segments: int = 70) -> Record:
    """A client that sends much, some of it twice."""
    story = Story()
    t = _opening(story)
    for number in range(segments):
        at = t + number * MS
        lost = number == 20
        story.send("h1", "PA", at, length=1448, lost=lost)
    for number in range(segments // 2):
        story.send("h2", "A", t + DELAY + number * 2 * MS)
    lost_number = next(p.number for p in story.segments if p.lost)
    story.send("h1", "PA", t + 400 * MS, length=1448, again=lost_number)
    end = _closing(story, t + 600 * MS)
    return story.record(end + SECOND)


def refused() -> Record:
    """Without a listener, the SYN is answered by a reset; another reset has no known sender."""
    story = Story()
    t, d = 10 * MS, DELAY
    story.change("h1", S.SYN_SENT, t, "connect()", seen=(TP, APP))
    story.send("h1", "S", t)
    reset = story.send("h2", "RA", t + d)
    story.change("h1", S.CLOSED, t + 2 * d, sentence("received", what="RST"), segment=reset)
    return story.record(SECOND)


def injected() -> Record:
    """A reset made in the middle ends an established connection."""
    from msgspec.structs import replace

    story = Story()
    t = _opening(story) + 50 * MS
    number = story.send("h2", "R", t)
    story.segments[-1] = replace(story.segments[-1], sent=None, received=t)
    story.change("h1", S.CLOSED, t, sentence("received", what="RST"), segment=number)
    return story.record(t + 5 * SECOND)


def reset_by_the_client(story: Story, t: int) -> None:
    """The client's close() sends a RST: because data is unread, or as SO_LINGER says."""
    from msgspec.structs import replace

    story.change("h1", S.CLOSED, t, "close()", seen=(TP, APP))
    number = story.send("h1", "RA", t)
    story.change("h2", S.CLOSED, t + story.delay, sentence("received", what="RST"), segment=number)
    step = story.steps["h2"][-1]
    story.steps["h2"][-1] = replace(step, cause=replace(step.cause, kind="reset"))


def many(count: int = 40, end: Callable[[Story, int], object] = _closing) -> Record:
    """Several connections, one after the other, each of which ends in the same way."""
    endpoints: list[Endpoint] = []
    segments: list[TransmittedSegment] = []
    for number in range(count):
        story = Story(left_port=40000 + number)
        t = _opening(story, 10 * MS + number * 20 * MS)
        end(story, t + 100 * MS)
        shift = len(segments)
        for steps in story.steps.values():
            steps[:] = [_renumbered(step, shift) for step in steps]
        endpoints += story.endpoints(90 * SECOND)
        segments += [_moved(segment, shift) for segment in story.segments]
    return Record(header(), tuple(endpoints), tuple(segments), (), complete=True)


def _renumbered(step: Transition, shift: int) -> Transition:
    from msgspec.structs import replace

    if step.cause.segment is None:
        return step
    return replace(step, cause=replace(step.cause, segment=step.cause.segment + shift))


def _moved(segment: TransmittedSegment, shift: int) -> TransmittedSegment:
    from msgspec.structs import replace

    again = None if segment.retransmits is None else segment.retransmits + shift
    return replace(segment, number=segment.number + shift, retransmits=again)


def transfer(segments: int) -> Record:
    """A client sends for long: two segments with data per acknowledgment, one of a hundred lost and sent again."""
    story = Story()
    t = _opening(story)
    seq, stamps = 1, b"\x01\x01\x08\x0a"
    repeated: int | None = None
    place = 0
    while len(story.segments) < segments:
        number, at = len(story.segments) + 1, t + place * MS // 10
        options = stamps + (at // MS).to_bytes(4, "big") + (at // MS - 50).to_bytes(4, "big")
        place += 1
        if place % 3 == 0:
            made = _acknowledgment(story, number, at, seq, options)
        else:
            lost = place % 100 == 1
            made = _data(story, number, at, seq, options, lost=lost, again=repeated)
            if repeated is None:
                seq += 1448
            repeated = number if lost else None
        story.segments.append(made)
    end = _closing(story, t + place * MS // 10 + 200 * MS)
    return story.record(end)


def _data(
    story: Story, number: int, at: int, seq: int, options: bytes, *, lost: bool, again: int | None
) -> TransmittedSegment:
    first = seq if again is None else story.segments[again - 1].rel_seq
    return TransmittedSegment(
        number, "h1", "h2", story.addresses["h1"], story.addresses["h2"], "A", 1000 + first, 5001, first, 1, 1448,
        502, at, None if lost else at + DELAY, again, raw_options=options,
    )  # fmt: skip


def _acknowledgment(story: Story, number: int, at: int, seq: int, options: bytes) -> TransmittedSegment:
    return TransmittedSegment(
        number, "h2", "h1", story.addresses["h2"], story.addresses["h1"], "A", 1001, 5000 + seq, 1, seq, 0, 502, at,
        at + DELAY, raw_options=options,
    )  # fmt: skip


#: Every story, by name.
ALL = {
    "normal": normal,
    "lost_syn_ack": lost_syn_ack,
    "simultaneous_close": simultaneous_close,
    "orphan": orphan,
    "bulk": bulk,
    "refused": refused,
    "injected": injected,
    "many": many,
}


def seen(record: Record) -> list[SegmentSeen]:
    """What the captures on both hosts would hold of a run: real frames, cut as a recorder cuts them."""
    out = []
    for segment in record.segments:
        ends: list[tuple[str, int | None, Literal["sent", "received"]]] = [
            (segment.sender, segment.sent, "sent"),
            (segment.receiver, segment.received, "received"),
        ]
        for node, when, direction in ends:
            if when is None:
                continue
            out.append(
                SegmentSeen(
                    when,
                    node,
                    f"{node}-eth0",
                    direction,
                    segment.src,
                    segment.dst,
                    segment.flags,
                    segment.seq,
                    segment.ack,
                    segment.length,
                    segment.window,
                    _frame(segment),
                )
            )
    return sorted(out, key=lambda each: each.t)


def _frame(segment: TransmittedSegment) -> bytes:
    bits = sum(1 << "FSRPAUEW".index(letter) for letter in segment.flags)
    tcp = struct.pack(
        "!HHIIBBHHH", segment.src.port, segment.dst.port, segment.seq, segment.ack, 5 << 4, bits, segment.window, 0, 0
    )
    ends = bytes(map(int, segment.src.ip.split("."))) + bytes(map(int, segment.dst.ip.split(".")))
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + segment.length, 0, 0, 64, 6, 0) + ends
    return bytes(12) + b"\x08\x00" + ip + tcp


#: Harmful texts that a recorded program or host may have printed.
CLEVER = [
    "<script>document.title='owned'</script>",
    "\x1b[2J\x1b[31mred\x1b]0;title\x07\x9b5m",
    "[bold]not bold[/bold] [link=http://x]",
    "\u202eesrever\x00\r\n</text></svg><img src=x onerror=document.title='owned'>",
    "&lt;&amp;\"'--></style></script>{{ 7*7 }}{% raw %}",
    "x" * 10_000_000,
    "가" * 5000,
]


def clever(text: str) -> Record:
    """A run in which everything that a program or host can name is this text."""
    from msgspec.structs import replace

    record = normal()
    first, second = record.endpoints
    message = sentence("missed_on", node=text, observer=text, count=1)
    steps = tuple(
        replace(step, objection=message, cause=replace(step.cause, message=text)) for step in first.transitions
    )
    changed = header(
        (text,),
        topology=text,
        faults=[text],
        nodes={text: ["10.0.0.1"], "h2": ["10.0.0.2"], text + "middle": []},
        observers={"tracepoint": text},
    )
    return replace(
        record,
        header=replace(changed, kernel=replace(changed.kernel, release=text)),
        endpoints=(replace(first, node=text, transitions=steps), second),
        segments=tuple(
            replace(p, sender=text if p.sender == "h1" else "h2", receiver=text if p.receiver == "h1" else "h2")
            for p in record.segments
        ),
        objections=(message,),
    )


def observed(record: Record) -> list[Observation]:
    """Observations from which a record like this can be made again, with counters of every kind."""
    out: list[Observation] = list(seen(record))
    nowhere = Address("0.0.0.0", 0)  # noqa: S104 - what a listener's remote end is called
    for endpoint in record.endpoints:
        for step in endpoint.transitions:
            if step.new is S.LISTEN:
                out.append(StateChange(step.time, 99, step.old, step.new, endpoint.local, nowhere))
            elif TP in step.witnesses:
                ends = (endpoint.local, endpoint.remote)
                if step.old is S.SYN_RECEIVED:  # the child is reported only now
                    out.append(StateChange(step.time, endpoint.cookie, S.LISTEN, S.SYN_RECEIVED, *ends))
                out.append(StateChange(step.time, endpoint.cookie, step.old, step.new, *ends))
    out += [
        Step(9 * MS, "h1", "connect", "begins"),
        Counters(SECOND, "h1", {"TCPTimeouts": 1, "TCPLost": 0}),
        QdiscReport(SECOND, "s1-eth1", "netem", "delay 50ms", 12, 0),
        FaultReport(SECOND, "drop SYN-ACK #1", 1),
    ]
    out.sort(key=lambda each: each.t)
    last = max(each.t for each in out)
    return [record.header, *out, RunEnd(last)]
