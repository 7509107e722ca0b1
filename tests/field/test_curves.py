"""The curves of a bulk transfer are what the kernel itself reports: `ss`, and the queue that netem has.

Each of them is one run in the lab kernel; what is drawn of the same observations is compared with other reports of it.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
from handshake_lab.recording.observations import TcpProbe
from handshake_lab.report.series.plots import plots

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab import Net
    from handshake_lab.report.series.plot import Curve, Kind

SERVER = """
import socket
listener = socket.create_server(("", 80))
connection, _ = listener.accept()
while connection.recv(65536):
    pass
"""
CLIENT = """
import socket
connection = socket.create_connection(("10.0.0.2", 80))
connection.sendall(bytes({length}))
"""
#: A segment with timestamps and 1448 bytes of payload, as netem counts it: with the Ethernet header.
FRAME = 1514
#: The granularity of virtual time in nanoseconds, times the readings of the clock around a report.
TICKS = 10_000


def transfer(net: Net, length: int) -> Iterator[None]:
    """Send data from h1 to h2; yields ten times, at moments that have no relation to the segments'."""
    server = net.h2.start(["python3", "-c", SERVER], listening=80)
    client = net.h1.start(["python3", "-c", CLIENT.format(length=length)])
    for _ in range(10):
        net.sleep(0.0437)
        yield
    client.wait()
    server.wait()


def curves(net: Net, kind: Kind) -> dict[str, Curve]:
    """The curves of the only plot of a kind."""
    (plot,) = plots(net.record(), net.observations, [kind])
    return {curve.name: curve for curve in plot.curves}


def had(curve: Curve, begin: int, end: int) -> set[float | None]:
    """The values of a curve of steps in an interval."""
    inside = {value for time, value in zip(curve.times, curve.values, strict=True) if begin <= time <= end}
    return inside | {curve.at(begin)}


@pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed (package iproute2)")
@pytest.mark.handshake(delay="20ms", loss="1%", rate="10mbit", curves=True)
@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_curves_are_what_ss_prints(net: Net, algorithm: str) -> None:
    """Ten moments of a transfer under 1 % loss: window, threshold, RTT and RTO are exactly those of ``ss -ti``."""
    net.h1.sysctl("net.ipv4.tcp_congestion_control", algorithm)
    printed = []
    for _ in transfer(net, 600_000):
        begin = net.clock.now()
        text = net.h1.run(["ss", "-Htin", "dst", "10.0.0.2"]).stdout
        printed.append((begin, net.clock.now(), text))
    window, trip = curves(net, "cwnd"), curves(net, "rtt")
    compared = 0
    for begin, end, text in printed:
        found = dict(re.findall(r"\b(cwnd|ssthresh|rtt|rto):([\d.]+)", text))
        if "cwnd" not in found:
            continue
        compared += 1
        assert algorithm in text
        assert int(found["cwnd"]) in had(window["cwnd"], begin, end), (begin, end, text)
        threshold = int(found["ssthresh"]) if "ssthresh" in found else None
        assert threshold in had(window["ssthresh"], begin, end), (begin, end, text)
        smoothed = {value and round(value, 3) for value in had(trip["srtt"], begin, end)}
        assert float(found["rtt"]) in smoothed, (begin, end, text, smoothed)
        assert float(found["rto"]) in had(trip["rto"], begin, end), (begin, end, text)

    assert compared == 10
    assert len(window["cwnd"].times) > 20
    assert len(trip["rto"].times) > 5
    assert any(segment.lost for segment in net.record().segments)


@pytest.mark.handshake(links=["s1>h2:delay=10ms,rate=2mbit"], curves=True)
def test_a_queue_too_long_is_that_of_netem(net: Net) -> None:
    """Bufferbloat: at ten moments the queue has the kernel's length, and its delay follows from the rate."""
    held = []
    for _ in transfer(net, 120_000):
        begin = net.clock.now()
        held.append((begin, net.network.in_flight(), net.clock.now()))
    queue = curves(net, "queue")["queue"]
    for begin, count, end in held:
        assert count in had(queue, begin, end), (begin, count)
    assert max(count for _, count, _ in held) > 20

    # netem (tfifo): each frame follows the one before by the time that it takes at this rate, and none is earlier than
    # the delay permits.
    free = 0
    longest = 0
    for segment in (each for each in net.record().segments if each.receiver == "h2"):
        if segment.received is None:
            continue  # the last one is on its way
        assert segment.sent is not None
        size = 14 + 20 + 20 + len(segment.raw_options) + segment.length
        free = max(free, segment.sent + 10_000_000) + size * 8_000_000_000 // 2_000_000
        assert abs(segment.received - free) < TICKS, (segment, free)
        longest = max(longest, segment.received - segment.sent)
    # All that the longest wait was behind had to be sent first: full-sized frames.
    most = max(value for value in queue.values if value)
    frame = FRAME * 8_000_000_000 // 2_000_000
    assert most - 3 <= longest // frame <= most


@pytest.mark.handshake(delay="20ms", loss="1%", rate="10mbit", curves=True)
@pytest.mark.parametrize(("algorithm", "ecn"), [("bbr", 0), ("dctcp", 1)])
def test_every_congestion_control_has_its_curves(net: Net, algorithm: str, ecn: int) -> None:
    """BBR and DCTCP are in the lab kernel, too; their windows are reported like the others'."""
    net.h1.sysctl("net.ipv4.tcp_ecn", ecn)
    net.h2.sysctl("net.ipv4.tcp_ecn", ecn)
    net.h1.sysctl("net.ipv4.tcp_congestion_control", algorithm)
    for _ in transfer(net, 150_000):
        if net.h1.sockets():
            break
    net.h1.wait_for("TIME-WAIT")
    window = curves(net, "cwnd")["cwnd"]
    probes = [each for each in net.observations if isinstance(each, TcpProbe) and each.local.ip == net.h1.ip]

    assert len(probes) > 10
    assert {probe.cwnd for probe in probes} <= set(window.values)
    assert [probe for probe in probes if window.at(probe.t - 1) != probe.cwnd] == []


@pytest.mark.handshake(delay="20ms", curves=True)
def test_a_timer_changes_the_window_when_it_expires(net: Net) -> None:
    """A retransmission timeout: the window is one segment from then on, not from the last acknowledgment on."""
    listener = net.h2.listen(80)
    client = net.h1.connect(listener)
    listener.accept()
    client.sendall(bytes(14_480))
    net.sleep(0.5)
    lost = net.fault("drop DATA from h1 first=2")
    client.sendall(bytes(1448))  # lost, and so is the probe for it (RACK-TLP)
    net.sleep(2)
    assert lost.fired == 2
    last = [each for each in net.record().segments if each.length][-1]
    window = curves(net, "cwnd")["cwnd"]

    assert last.retransmits is not None
    assert last.sent is not None
    assert window.at(last.sent + TICKS) == 1
    assert (window.at(last.sent - TICKS) or 0) > 1
