"""TCP's timers in Linux: their documented times, their settings, and how late they may expire.

All times are integer nanoseconds, as everywhere in a record; `seconds` converts.
Schedules are those of Documentation/networking/ip-sysctl.rst and net/ipv4/tcp_timer.c.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import msgspec

SECOND = 1_000_000_000

#: A kernel timer may fire late by this fraction of its time, plus a jiffy: see `Window`.
LATENESS_DIVISOR = 8
#: TIME-WAIT: TCP_TIMEWAIT_LEN, include/net/tcp.h. No sysctl changes it.
TIME_WAIT = 60 * SECOND
#: An orphan's FIN-WAIT-2 (net.ipv4.tcp_fin_timeout, or the socket option TCP_LINGER2).
FIN_TIMEOUT = 60 * SECOND
#: The first retransmission timeout, before a round trip was measured (TCP_TIMEOUT_INIT; RFC 6298, 2.1).
INITIAL_RTO = 1 * SECOND
#: The minimum and the maximum retransmission timeout (TCP_RTO_MIN, TCP_RTO_MAX).
RTO_MIN = SECOND // 5
RTO_MAX = 120 * SECOND

#: The first release that retransmits the first SYNs every second (tcp_syn_linear_timeouts).
LINEAR_SYNS_SINCE = (6, 5)
SYN_RETRIES = 6
SYN_LINEAR_TIMEOUTS = 4
SYNACK_RETRIES = 5
RETRIES_2 = 15
#: The number of retries if tcp_orphan_retries is 0, its default (tcp_orphan_retries(), net/ipv4/tcp_timer.c).
ORPHAN_RETRIES = 8


def seconds(value: float) -> int:
    """Seconds as nanoseconds."""
    return round(value * SECOND)


class DocumentedTimer(msgspec.Struct, frozen=True):
    """One of the kernel's timers.

    ``sysctl`` and ``option`` (a socket option) set it; "" if there is none.
    """

    name: str
    states: str
    documented: str
    section: str
    sysctl: str = ""
    option: str = ""
    source: str = ""


TIMERS: tuple[DocumentedTimer, ...] = (
    DocumentedTimer(
        "SYN retransmission",
        "SYN-SENT",
        "≤ 6.4: after 1, 3, 7, 15, 31, 63 s, gives up at 127 s; ≥ 6.5: 1, 2, 3, 4, 5, 7, 11, 19, 35, 67 s, 131 s",
        "RFC 6298, 2.1 and 5.7",
        "net.ipv4.tcp_syn_retries, net.ipv4.tcp_syn_linear_timeouts (≥ 6.5)",
        "TCP_SYNCNT",
        "tcp_retransmit_timer() and tcp_write_timeout(), net/ipv4/tcp_timer.c",
    ),
    DocumentedTimer(
        "SYN-ACK retransmission",
        "SYN-RECEIVED",
        "after 1, 3, 7, 15, 31 s, gives up at 63 s",
        "RFC 6298, 2.1",
        "net.ipv4.tcp_synack_retries",
        "TCP_DEFER_ACCEPT",
        "reqsk_timer_handler(), net/ipv4/inet_connection_sock.c",
    ),
    DocumentedTimer(
        "retransmission",
        "ESTABLISHED, FIN-WAIT-1, CLOSE-WAIT, CLOSING, LAST-ACK",
        "the RTO (at least 200 ms), doubled each time up to 120 s; gives up after 924.6 s or more",
        "RFC 6298, 5",
        "net.ipv4.tcp_retries2",
        "TCP_USER_TIMEOUT",
        "tcp_retransmit_timer(), net/ipv4/tcp_timer.c",
    ),
    DocumentedTimer(
        "orphan's retransmission",
        "FIN-WAIT-1, CLOSING, LAST-ACK after close()",
        "as above, gives up after 102.2 s or more",
        "RFC 9293, 3.8.3",
        "net.ipv4.tcp_orphan_retries",
        source="tcp_orphan_retries(), net/ipv4/tcp_timer.c",
    ),
    DocumentedTimer(
        "FIN-WAIT-2",
        "FIN-WAIT-2 after close()",
        "60 s",
        "none",
        "net.ipv4.tcp_fin_timeout",
        "TCP_LINGER2",
        "tcp_time_wait(), net/ipv4/tcp_minisocks.c",
    ),
    DocumentedTimer(
        "TIME-WAIT",
        "TIME-WAIT",
        "60 s, restarted by every retransmitted FIN",
        "RFC 9293, 3.4.2 and 3.10.8",
        source="TCP_TIMEWAIT_LEN, include/net/tcp.h",
    ),
    DocumentedTimer(
        "keepalive",
        "ESTABLISHED, CLOSE-WAIT",
        "the first probe after 7,200 s, then 9 every 75 s",
        "RFC 9293, 3.8.4",
        "net.ipv4.tcp_keepalive_time, tcp_keepalive_intvl, tcp_keepalive_probes",
        "SO_KEEPALIVE, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT",
        "tcp_keepalive_timer(), net/ipv4/tcp_timer.c",
    ),
    DocumentedTimer(
        "user timeout",
        "synchronized states",
        "none unless set",
        "RFC 5482",
        option="TCP_USER_TIMEOUT",
        source="tcp_write_timeout(), net/ipv4/tcp_timer.c",
    ),
    DocumentedTimer(
        "window probe",
        "any with data queued before a closed window",
        "as the retransmission timer",
        "RFC 9293, 3.8.6.1",
        "net.ipv4.tcp_retries2",
        source="tcp_probe_timer(), net/ipv4/tcp_timer.c",
    ),
)


class Schedule(msgspec.Struct, frozen=True):
    """When an unanswered segment is retransmitted, and when Linux gives up.

    ``again`` and ``fails`` count nanoseconds from its first sending.
    """

    again: tuple[int, ...]
    fails: int

    @property
    def sendings(self) -> int:
        """How often it is sent in total."""
        return 1 + len(self.again)

    def window(self, place: int, *, hz: int, since_previous: bool = False) -> Window:
        """When the retransmission at ``place`` may be observed; -1 is the end of the attempts.

        Args:
            place: 0 for the first retransmission, -1 for when Linux gives up.
            hz: The kernel's ticks per second.
            since_previous: Count from the previous sending, not from the first. A window from the first
                sending is wider, because each timer of the series may be late.
        """
        times = [0, *self.again, self.fails]
        end = len(times) - 1 if place == -1 else place + 1
        waits = [later - earlier for earlier, later in pairwise(times[: end + 1])]
        if since_previous:
            return Window.of(waits[-1], hz=hz)
        low = sum(waits)
        return Window(low, sum(Window.of(wait, hz=hz).latest for wait in waits))


class Window(msgspec.Struct, frozen=True):
    """The times at which a kernel timer may expire: [earliest, latest] nanoseconds after it was set.

    The kernel keeps timers in a wheel whose granularity is coarser for later times, and
    rounds them up: a timer of t fires within [t, t·1.125 + 1 jiffy] (kernel/time/timer.c,
    the comment on the wheel's levels and calc_index()).
    """

    earliest: int
    latest: int

    @classmethod
    def of(cls, nanoseconds: int, *, hz: int, plus: int = 0) -> Window:
        """The window of one timer.

        Args:
            nanoseconds: What it was set to.
            hz: The kernel's ticks per second.
            plus: Additional time until it can be observed, such as a round trip.
        """
        return cls(nanoseconds + plus, nanoseconds + nanoseconds // LATENESS_DIVISOR + SECOND // hz + plus)

    def contains(self, measured: int) -> bool:
        """Whether a measured time, in nanoseconds, is in the window."""
        return self.earliest <= measured <= self.latest

    def __str__(self) -> str:
        return f"{_s(self.earliest)} to {_s(self.latest)}"


def _s(nanoseconds: int) -> str:
    return f"{nanoseconds / SECOND:.3f}".rstrip("0").rstrip(".") + " s"


def syn_schedule(
    release: tuple[int, int], *, retries: int = SYN_RETRIES, linear: int = SYN_LINEAR_TIMEOUTS
) -> Schedule:
    """When an unanswered SYN is retransmitted (tcp_write_timeout() and tcp_retransmit_timer()).

    Args:
        release: The kernel's, such as (6, 1).
        retries: tcp_syn_retries, or TCP_SYNCNT.
        linear: tcp_syn_linear_timeouts, which are added to the retries; ignored before 6.5.
    """
    steady = linear if release >= LINEAR_SYNS_SINCE else 0
    doubling = [min(INITIAL_RTO << n, RTO_MAX) for n in range(retries + 1)]
    times = list(accumulate([INITIAL_RTO] * steady + doubling))
    # Regardless of the number of SYNs that are left, the attempts end with the first timer that fires after the sum of
    # the doubling waits (retransmits_timed_out()): TCP_SYNCNT = 2 ends after 1, 2, 3, 4, 5 and 7 s, not after 11.
    again = tuple(time for time in times[:-1] if time < sum(doubling))
    return Schedule(again, times[len(again)])


def synack_schedule(*, retries: int = SYNACK_RETRIES) -> Schedule:
    """When an unacknowledged SYN-ACK is retransmitted, and its request dropped (reqsk_timer_handler())."""
    *again, fails = accumulate(min(INITIAL_RTO << n, RTO_MAX) for n in range(retries + 1))
    return Schedule(tuple(again), fails)


def keepalive_schedule(*, idle: int, interval: int, count: int) -> Schedule:
    """When a silent peer is probed after the last segment, and when the connection ends.

    Args:
        idle: TCP_KEEPIDLE, in nanoseconds.
        interval: TCP_KEEPINTVL, in nanoseconds.
        count: TCP_KEEPCNT.
    """
    return Schedule(tuple(idle + n * interval for n in range(count)), idle + count * interval)


def shortest_timeout(retries: int) -> int:
    """The shortest time, in nanoseconds, for which Linux retransmits before it gives up.

    Computed with the smallest RTO, `RTO_MIN` (tcp_model_timeout(),
    net/ipv4/tcp_timer.c). With a larger RTO the time is longer.

    Args:
        retries: tcp_retries2, or `ORPHAN_RETRIES`.
    """
    doublings = (RTO_MAX // RTO_MIN).bit_length() - 1
    if retries <= doublings:
        return ((2 << retries) - 1) * RTO_MIN
    return ((2 << doublings) - 1) * RTO_MIN + (retries - doublings) * RTO_MAX
