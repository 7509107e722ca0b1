"""Observations: one value each, and one line of ``events.jsonl``.

All times are integer nanoseconds on one clock, which is 0 when the recording begins. Observations are not interpreted:
`handshake_lab.reconcile.pipeline` joins them into histories.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from handshake_lab.tcp.address import Address
from handshake_lab.tcp.states import State

__all__ = [
    "FORMAT_VERSION",
    "Address",
    "Context",
    "CounterGrowth",
    "Counters",
    "Failure",
    "FaultReport",
    "KernelInfo",
    "LinkChange",
    "Missed",
    "NetworkChange",
    "NotRepeatable",
    "Observation",
    "QdiscReport",
    "RunEnd",
    "RunHeader",
    "SegmentSeen",
    "SocketGone",
    "SocketSeen",
    "StateChange",
    "Step",
    "TcpEvent",
    "TcpInfo",
    "TcpProbe",
    "Witness",
]

#: Version of ``events.jsonl`` and of all JSON documents. Readers refuse a larger one.
#: docs/reference/json.md lists the changes.
FORMAT_VERSION = 2


class Witness(StrEnum):
    """An observer that reported something."""

    TRACEPOINT = "tracepoint"
    DIAG = "diag"
    SS = "ss"
    CAPTURE = "capture"
    APPLICATION = "application"


#: The purpose of a socket's timer (`IDIAG_TIMER_*`, include/uapi/linux/inet_diag.h): "on" is the retransmission timer,
#: "persist" that of zero-window probes; older kernels do not report "delack".
SocketTimer = Literal["", "on", "keepalive", "timewait", "persist", "delack"]


#: The context in which an event happened: a task's system call, or an interrupt, in which the kernel handles received
#: segments and expired timers. "" if it was not recorded.
Context = Literal["", "task", "interrupt"]


class KernelInfo(msgspec.Struct, frozen=True):
    """The kernel of a run. ``seed`` is None where time is real and random numbers are not seeded."""

    kind: Literal["lab", "host", "vm"]
    release: str
    hz: int
    seed: int | None

    @property
    def real_time(self) -> bool:
        """Whether time on this kernel passes as fast as on the wall clock: then no two runs are the same."""
        return self.seed is None

    @property
    def computing_takes_time(self) -> bool:
        """Whether time passes while programs compute: on all kernels except the lab kernel."""
        return self.kind != "lab"


class _Observation(msgspec.Struct, frozen=True, gc=False, tag_field="type", omit_defaults=True):
    t: int  #: nanoseconds since the recording began


class RunHeader(_Observation, frozen=True, tag="run", omit_defaults=False):
    """The first line: the network, the kernel and the observers.

    ``nodes`` maps every host, router and switch to its IP addresses; ``observers`` maps each observer to "" or to the
    reason why it could not observe.
    """

    version: int  #: `FORMAT_VERSION`; older ones are read as the present one
    kernel: KernelInfo
    topology: str
    nodes: dict[str, list[str]]
    links: list[str]
    faults: list[str]
    observers: dict[str, str]
    started: str  #: wall-clock time of t=0, ISO 8601, UTC
    replay: str = ""  #: the command that repeats this run; "" where there is none


class NetworkChange(_Observation, frozen=True, tag="network"):
    """What a script made of the network since the header: nodes with all their addresses, and impaired links.

    Both are in the words of `RunHeader`, and add to what it has; a node's addresses are those that it has now.
    """

    nodes: dict[str, list[str]] = {}
    links: list[str] = []


class StateChange(_Observation, frozen=True, tag="state"):
    """Tracepoint ``sock:inet_sock_set_state`` (net/ipv4/af_inet.c, inet_sk_set_state).

    It does not contain a namespace: ``local.ip`` identifies the host if addresses are unique.
    """

    sk: int  #: represents the kernel address of the socket: an identity until its CLOSE, then reused
    old: State
    new: State
    local: Address
    remote: Address
    pid: int = 0  #: the task in whose context it ran: the caller's only where ``context`` is "task"
    context: Context = ""


class TcpEvent(_Observation, frozen=True, tag="tcp"):
    """Another tracepoint, by its name: of ``tcp:*`` (include/trace/events/tcp.h), or ``sock:inet_sk_error_report``.

    ``reason`` is why the kernel sent a RST, in its own words (``tcp_send_reset``, since Linux 6.11; enum sk_rst_reason,
    include/net/rstreason.h), or the name of the error that a socket's program gets (``inet_sk_error_report``), or why
    it discarded a segment that had arrived for the socket ``sk`` (``skb:kfree_skb``, without addresses; enum
    skb_drop_reason, include/net/dropreason-core.h).
    """

    name: str
    local: Address
    remote: Address
    sk: int = 0
    cookie: int = 0
    state: State | None = None
    context: Context = ""
    reason: str = ""


class TcpProbe(_Observation, frozen=True, tag="probe"):
    """Tracepoint ``tcp:tcp_probe`` (net/ipv4/tcp_input.c, tcp_rcv_established): an open connection received a segment.

    The values are those before the segment is processed: the socket had them from ``since``, when it had processed the
    segment before, or from a timer or a system call after that. A report with the same values as the one before is
    omitted.
    """

    since: int  #: when the segment before arrived, on the run's clock; 0 for the first one
    local: Address
    remote: Address
    cwnd: int  #: the congestion window in segments
    ssthresh: int  #: the slow-start threshold in segments; 2147483647 as long as there is none
    srtt: int  #: the smoothed round-trip time in microseconds; 0 as long as there is none
    window: int  #: the send window in bytes: what the peer last advertised
    #: The retransmission timeout in microseconds, after the segment: polled where that takes no time; 0: not polled.
    rto: int = 0


class TcpInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The part of ``struct tcp_info`` (include/uapi/linux/tcp.h) that is evidence of causes. Times are microseconds."""

    ca_state: int = 0
    retransmits: int = 0
    probes: int = 0
    backoff: int = 0
    rto: int = 0
    rtt: int = 0
    unacked: int = 0
    lost: int = 0
    retrans: int = 0
    total_retrans: int = 0
    snd_cwnd: int = 0
    bytes_acked: int = 0
    bytes_received: int = 0
    segs_out: int = 0
    segs_in: int = 0


class SocketSeen(_Observation, frozen=True, tag="socket"):
    """A poll of a host's sockets found this one new or changed.

    In the previous poll, at ``since``, it was absent or different: the change happened in the interval (since, t].
    """

    since: int
    node: str
    cookie: int
    state: State
    local: Address
    remote: Address
    observer: Literal["diag", "ss"] = "diag"
    timer: SocketTimer = ""
    expires: int = 0  #: nanoseconds until that timer is due
    retrans: int = 0
    inode: int = 0  #: 0: a request, an orphan or a mini-socket, which no process holds
    rqueue: int = 0
    wqueue: int = 0
    info: TcpInfo | None = None


class SocketGone(_Observation, frozen=True, tag="gone"):
    """A poll of a host's sockets no longer found this one; the previous poll, at ``since``, had."""

    since: int
    node: str
    cookie: int
    state: State  #: its state in the previous poll
    local: Address
    remote: Address
    observer: Literal["diag", "ss"] = "diag"


class SegmentSeen(_Observation, frozen=True, tag="segment"):
    """A TCP segment that an interface sent or received (AF_PACKET, kernel timestamp).

    ``flags`` are letters in the order of `handshake_lab.tcp.flags.ORDER`: "S", "SA", "A", "PA", "FA", "R", "RA".
    ``frame`` holds the first bytes of the frame, from the Ethernet header on.

    It may also be an ICMP error about a segment: ``icmp`` names it, ``src`` and ``dst`` are those of an answer to the
    segment that it quotes, and ``seq`` is that segment's.

    UDP datagrams, and ICMP errors about them, have the ``protocol`` UDP and no numbers.
    """

    node: str
    interface: str
    direction: Literal["sent", "received"]
    src: Address
    dst: Address
    flags: str
    seq: int
    ack: int
    length: int  #: bytes of payload
    window: int
    frame: bytes
    icmp: str = ""
    protocol: Literal["TCP", "UDP"] = "TCP"


class Step(_Observation, frozen=True, tag="step"):
    """A system call of a program on a socket began or ended.

    ``result`` is "" when it begins, or if it returned nothing; else the value or the name of the errno.
    """

    node: str
    call: str
    phase: Literal["begins", "ends"]
    cookie: int = 0
    result: str = ""


class Program(_Observation, frozen=True, tag="program"):
    """A program of a host started or ended; ``status`` is its exit status or the signal that ended it.

    ``doing`` is what it did when its time was up, if that is why it was ended: "waits in recvfrom() on socket:[1234]".
    """

    node: str
    name: str
    command: str
    phase: Literal["starts", "ends"]
    status: str = ""
    doing: str = ""


class LinkChange(_Observation, frozen=True, tag="link"):
    """A script cut a link, mended it, or changed its impairments.

    ``link`` are its nodes, as in ``--link``: "s1-h2" for both directions, "s1>h2" for one. ``change`` are the
    properties that were set: "loss=100%".
    """

    link: str
    action: Literal["cut", "mend", "set", "clear"]
    change: str = ""


class Counters(_Observation, frozen=True, tag="counters"):
    """The increase of a host's TcpExt and Tcp counters since t=0 (/proc/net/netstat, /proc/net/snmp)."""

    node: str
    grown: dict[str, int]


class CounterGrowth(_Observation, frozen=True, tag="grown"):
    """By how much counters of a host grew in the interval (since, t]: those that show why a segment had no effect."""

    since: int
    node: str
    grown: dict[str, int]


class QdiscReport(_Observation, frozen=True, tag="qdisc"):
    """Counters of a queueing discipline, read from the kernel at the end of the run.

    ``link`` is the direction that it is for, as in ``--link``: "s1>h2"; "" in older recordings.
    """

    interface: str
    kind: str
    asked: str  #: the impairment, as in ``--link``
    sent: int
    dropped: int
    overlimits: int = 0
    link: str = ""


class FaultReport(_Observation, frozen=True, tag="fault"):
    """How often a fault fired. A fault that did not fire fails the run unless it is optional."""

    fault: str
    fired: int
    optional: bool = False


class Missed(_Observation, frozen=True, tag="missed"):
    """An observer lost reports: its ring buffer (tracepoint, probe) or its packet socket (capture) was full.

    ``node`` is "" where one observer covers all nodes. At least ``count`` reports were lost.
    """

    observer: Literal["tracepoint", "diag", "ss", "capture", "probe"]
    node: str
    count: int


class Failure(_Observation, frozen=True, tag="failure"):
    """Something in the run failed: a program's exit status, an exception of a script."""

    node: str
    what: str


class NotRepeatable(_Observation, frozen=True, tag="not_repeatable"):
    """Why another run of the same seed may differ from this one: what a program did.

    ``reason``: "preempted" if it computed for so long without a system call that it was interrupted by the time of the
    machine; "random_instruction" if its code contains RDRAND or RDSEED, which draw from the processor.
    """

    node: str  #: "" where it is not known
    reason: Literal["preempted", "random_instruction"]
    program: str


class RunEnd(_Observation, frozen=True, tag="end"):
    """The last line of a run that ended. A file without it is incomplete."""


Observation = (
    RunHeader
    | NetworkChange
    | StateChange
    | TcpEvent
    | TcpProbe
    | SocketSeen
    | SocketGone
    | SegmentSeen
    | Step
    | Program
    | LinkChange
    | CounterGrowth
    | Counters
    | QdiscReport
    | FaultReport
    | Missed
    | NotRepeatable
    | Failure
    | RunEnd
)
