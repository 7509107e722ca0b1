"""What observers saw: one value per observation, one line of ``events.jsonl`` each.

All times are integer nanoseconds on the run's one clock, which starts at 0 when the
recorder starts. Nothing here is interpreted: joining observations into histories is
`handshake_lab.reconcile.pipeline`'s work.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from handshake_lab.tcp.address import Address
from handshake_lab.tcp.states import State

__all__ = [
    "SCHEMA",
    "Address",
    "Context",
    "Counters",
    "Failure",
    "FaultReport",
    "KernelInfo",
    "Missed",
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
    "Witness",
]

#: Version of the lines below. A reader refuses a larger one.
SCHEMA = 1


class Witness(StrEnum):
    """Who saw something."""

    TRACEPOINT = "tracepoint"
    DIAG = "diag"
    SS = "ss"
    CAPTURE = "capture"
    APPLICATION = "application"


#: What a socket's timer is for (`IDIAG_TIMER_*`, include/uapi/linux/inet_diag.h): "on" is the
#: retransmission timer, "persist" the zero-window probe's; older kernels do not tell "delack".
SocketTimer = Literal["", "on", "keepalive", "timewait", "persist", "delack"]


#: Where the kernel was when an event happened: in a task's system call, or in an interrupt, where it handles what
#: arrived and timers that are due. "" where that was not recorded.
Context = Literal["", "task", "interrupt"]


class KernelInfo(msgspec.Struct, frozen=True):
    """The kernel a run happened on. ``seed`` is None where chance is real."""

    kind: Literal["lab", "host", "vm"]
    release: str
    hz: int
    seed: int | None

    @property
    def real_time(self) -> bool:
        """Whether waiting takes as long as it says."""
        return self.kind != "lab"


class _Observation(msgspec.Struct, frozen=True, gc=False, tag_field="type", omit_defaults=True):
    t: int  #: nanoseconds since the recorder started


class RunHeader(_Observation, frozen=True, tag="run", omit_defaults=False):
    """The first line: what was run, on what, and who watched.

    ``nodes`` maps every host, router and switch to its IP addresses; ``observers``
    maps each observer to "" or to the reason why it could not watch.
    """

    schema: int
    kernel: KernelInfo
    topology: str
    nodes: dict[str, list[str]]
    links: list[str]
    faults: list[str]
    observers: dict[str, str]
    started: str  #: wall-clock time of t=0, ISO 8601, UTC
    replay: str = ""  #: the command that gives this run again; "" where none does


class StateChange(_Observation, frozen=True, tag="state"):
    """Tracepoint ``sock:inet_sock_set_state`` (net/ipv4/af_inet.c, inet_sk_set_state).

    It has no namespace: ``local.ip`` tells the host where addresses are unique.
    """

    sk: int  #: stands for the kernel address of the socket: an identity until its CLOSE, then reused
    old: State
    new: State
    local: Address
    remote: Address
    pid: int = 0  #: the task in whose context it ran: the caller's only where ``context`` is "task"
    context: Context = ""


class TcpEvent(_Observation, frozen=True, tag="tcp"):
    """Another tracepoint, by its name: of ``tcp:*`` (include/trace/events/tcp.h), or ``sock:inet_sk_error_report``.

    ``reason`` is why the kernel sent a RST, in its own words (``tcp_send_reset``, since Linux 6.11; enum sk_rst_reason,
    include/net/rstreason.h), or the name of the error that a socket's program gets (``inet_sk_error_report``).
    """

    name: str
    local: Address
    remote: Address
    sk: int = 0
    cookie: int = 0
    state: State | None = None
    context: Context = ""
    reason: str = ""


class TcpInfo(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The part of ``struct tcp_info`` (include/uapi/linux/tcp.h) that tells causes. Times in microseconds."""

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
    """A look at a host's sockets found this one new or changed.

    The look before it, at ``since``, did not show it like this: the change happened
    in the interval (since, t].
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
    """A look at a host's sockets no longer found this one; the look at ``since`` had."""

    since: int
    node: str
    cookie: int
    state: State  #: the last state it was seen in
    local: Address
    remote: Address
    observer: Literal["diag", "ss"] = "diag"


class SegmentSeen(_Observation, frozen=True, tag="segment"):
    """A TCP segment that passed an interface (AF_PACKET, kernel timestamp).

    ``flags`` are letters in the order ``SFRPAUEW``: "S", "SA", "A", "PA", "FA", "R", "RA".
    ``frame`` holds the first bytes of the frame, from the Ethernet header on.
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


class Step(_Observation, frozen=True, tag="step"):
    """A program's system call on a socket: when it began or ended, and with what result.

    ``result`` is "" while it runs or where it returned nothing, else a value or an errno name.
    """

    node: str
    call: str
    phase: Literal["begins", "ends"]
    cookie: int = 0
    result: str = ""


class Program(_Observation, frozen=True, tag="program"):
    """A program of a host started or ended; ``status`` is its exit status or the signal that ended it."""

    node: str
    name: str
    command: str
    phase: Literal["starts", "ends"]
    status: str = ""


class Counters(_Observation, frozen=True, tag="counters"):
    """By how much a host's TcpExt and Tcp counters have grown since t=0 (/proc/net/netstat, /proc/net/snmp)."""

    node: str
    grown: dict[str, int]


class QdiscReport(_Observation, frozen=True, tag="qdisc"):
    """What a queueing discipline counted, read from the kernel at the end."""

    interface: str
    kind: str
    asked: str  #: the impairment in this project's words
    sent: int
    dropped: int
    overlimits: int = 0


class FaultReport(_Observation, frozen=True, tag="fault"):
    """How often a fault hit. One that never did fails the run unless it was optional."""

    fault: str
    fired: int
    optional: bool = False


class Missed(_Observation, frozen=True, tag="missed"):
    """An observer knows that it lost reports: a full ring buffer (tracepoint), a full packet socket (capture).

    ``node`` is "" where it watches all of them. ``count`` is the least that was lost.
    """

    observer: Literal["tracepoint", "diag", "ss", "capture"]
    node: str
    count: int


class Failure(_Observation, frozen=True, tag="failure"):
    """Something in the run failed: a program's exit status, an exception of a script."""

    node: str
    what: str


class RunEnd(_Observation, frozen=True, tag="end"):
    """The last line of a run that came to its end. Without it, the record was cut."""


Observation = (
    RunHeader
    | StateChange
    | TcpEvent
    | SocketSeen
    | SocketGone
    | SegmentSeen
    | Step
    | Program
    | Counters
    | QdiscReport
    | FaultReport
    | Missed
    | Failure
    | RunEnd
)
