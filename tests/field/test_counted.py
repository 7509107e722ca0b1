"""What only the kernel's counters show is named at the segment that was counted, wherever a run is shown."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from captions import captions
from complaints import describe
from handshake_lab import judge, ladder, page
from handshake_lab.report.export.run_document import run_document
from handshake_lab.verdict.without_effect import why_ignored
from tcp_steps import PORT, open_connection

if TYPE_CHECKING:
    from handshake_lab import Net, Record

pytestmark = pytest.mark.handshake()

COOKIES = "h2:net.ipv4.tcp_syncookies"


def reasons(record: Record) -> dict[str, str]:
    """Why segments had no effect, each with its sender and its name."""
    segments = {each.number: each for each in record.segments}
    return {
        f"{segments[number].sender} {segments[number].name}": str(why) for number, why in why_ignored(record).items()
    }


@pytest.mark.handshake(sysctls={COOKIES: 2})
def test_a_syn_cookie(net: Net) -> None:
    """The SYN is answered, and nothing is kept of it (SyncookiesSent)."""
    net.h1.connect(net.h2.listen(PORT))
    net.sleep(net.rtt)

    assert reasons(net.record()) == {"h1 SYN": "it was answered with a SYN cookie: no request is kept"}, describe(
        net.record()
    )


@pytest.mark.handshake(sysctls={COOKIES: 0})
def test_a_request_queue_without_room(net: Net) -> None:
    """Requests that wait for an ACK fill the queue of a listener with a short backlog (TCPReqQFullDrop)."""
    net.drop("SYN-ACK", from_="h2")
    listener = net.h2.listen(PORT, backlog=1)
    for _ in range(4):
        net.h1.begin_connect(listener)
        net.sleep(net.rtt)
    record = net.record()
    dropped = net.h2.counters()["TCPReqQFullDrop"]

    assert dropped, describe(record)
    assert [str(why) for why in why_ignored(record).values()] == [
        "the request queue was full, and SYN cookies are off (tcp_syncookies)"
    ] * dropped, describe(record)


def test_the_second_challenge_is_not_sent(net: Net) -> None:
    """RFC 5961, 10: one challenge ACK per socket in 500 ms (tcp_invalid_ratelimit)."""
    open_connection(net)
    for offset in (100, 200):
        net.inject("RST", to="h1", seq=offset)
        net.sleep(0.1)
    record = net.record()

    assert [why.code for why in why_ignored(record).values()] == ["challenged", "challenge_limited"], describe(record)


def test_a_syn_in_an_open_connection(net: Net) -> None:
    """RFC 5961, 4.2: it is answered with a challenge ACK, and with nothing if one was sent just before."""
    open_connection(net)
    for _ in range(2):
        net.inject("SYN", to="h2", seq=100)
        net.sleep(0.1)
    record = net.record()

    assert [why.code for why in why_ignored(record).values()] == ["challenged", "challenge_limited"], describe(record)


def test_a_deferred_accept(net: Net) -> None:
    """TCP_DEFER_ACCEPT: the ACK of the handshake alone does not complete it (TCPDeferAcceptDrop)."""
    listener = net.h2.listen(PORT)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10)
    net.h1.connect(listener)
    net.sleep(net.rtt)

    assert [why.code for why in why_ignored(net.record()).values()] == ["ignored_deferred"], describe(net.record())


def test_data_sent_at_the_time_of_a_reset_are_no_challenge(net: Net) -> None:
    """A RST out of the window has no answer: another segment that was sent at that time is not one."""
    _, server, _ = open_connection(net)
    net.inject("RST", to="h2", seq=10_000_000)
    server.sendall(b"at the same time")
    net.sleep(net.rtt)

    assert "challenged" not in [why.code for why in why_ignored(net.record()).values()], describe(net.record())


def test_wherever_the_run_is_shown(net: Net) -> None:
    """Verdict, ladder, page and JSON name the segment and the reason."""
    listener = net.h2.listen(PORT, backlog=0)
    net.h1.connect(listener)
    net.h1.begin_connect(listener)
    net.sleep(net.rtt)
    record = net.record()
    ((number, why),) = why_ignored(record).items()
    verdict = judge(record)
    (shown,) = [each for each in run_document(record, verdict).segments if each.ignored]

    assert str(why) == "the accept queue was full"
    assert f"#{number} had no effect: the accept queue was full" in captions(ladder(record, width=160))
    assert f"#{number} 효과 없음: accept 큐가 가득 참" in captions(ladder(record, width=160, lang="ko"))
    assert "no effect: the accept queue was full" in page(record, title="a full queue", verdict=verdict)
    assert (shown.number, shown.ignored and shown.ignored.code) == (number, "ignored_accept_queue")
    assert [each.segment for each in verdict.findings if "had no effect" in each.text] == [number]
