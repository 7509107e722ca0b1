"""The one clock, and the counters."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from handshake_lab.linux import tcp_counters
from handshake_lab.observers.clock import Clock

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_both_of_the_kernel_s_clocks_show_the_same_time() -> None:
    """A tracepoint stamps with one, a packet with the other."""
    clock = Clock()
    monotonic, real = time.clock_gettime_ns(time.CLOCK_MONOTONIC), time.clock_gettime_ns(time.CLOCK_REALTIME)

    assert abs(clock.from_monotonic(monotonic) - clock.from_real(real)) < 50_000_000


def test_it_begins_at_zero_and_does_not_go_back() -> None:
    """Times count from when the recorder started."""
    clock = Clock()
    first, second = clock.now(), clock.now()

    assert 0 <= first <= second < 5_000_000_000


def test_a_step_of_the_real_clock_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a tick, a packet stamped by a clock that was set an hour back has the time it was seen at."""
    clock = Clock()
    real = time.clock_gettime_ns
    hour = 3_600_000_000_000
    monkeypatch.setattr(time, "clock_gettime_ns", lambda which: real(which) - hour * (which == time.CLOCK_REALTIME))
    clock.tick()
    stamp = time.clock_gettime_ns(time.CLOCK_REALTIME)

    assert abs(clock.from_real(stamp) - clock.now()) < 50_000_000


def test_a_wait_between_two_readings_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes the processor away between reading one clock and the other: the packets are not late."""
    clock = Clock()
    present, read = [7_000_000_000], [0]

    def monotonic() -> int:
        return present[0]

    def real(_: int) -> int:
        read[0] += 1
        now = 1_000 * present[0]  # far from the other
        present[0] += 160_000_000 if read[0] < 3 else 100
        return now

    monkeypatch.setattr(time, "monotonic_ns", monotonic)
    monkeypatch.setattr(time, "clock_gettime_ns", real)
    clock.tick()

    third = 7_320_000_000
    assert clock.from_real(1_000 * third) == clock.from_monotonic(third + 50)


def test_the_start_is_reported_in_utc() -> None:
    """With its offset: a record is read elsewhere."""
    assert datetime.fromisoformat(Clock().started).utcoffset() == timedelta(0)


def test_counters_of_both_files_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tcp and TcpExt are read, other groups are not; MaxConn is -1 and stays so."""
    netstat, snmp = tmp_path / "netstat", tmp_path / "snmp"
    netstat.write_text("TcpExt: SyncookiesSent ListenDrops\nTcpExt: 1 2\nIpExt: InOctets\nIpExt: 3\n")
    snmp.write_text("Ip: Forwarding\nIp: 1\nTcp: MaxConn OutRsts\nTcp: -1 4\n")
    monkeypatch.setattr(tcp_counters, "_FILES", (netstat, snmp))

    assert tcp_counters.read_counters() == {"SyncookiesSent": 1, "ListenDrops": 2, "MaxConn": -1, "OutRsts": 4}


def test_only_what_has_grown_is_reported() -> None:
    """A gauge that fell is no event; a counter that was not there before counts from nothing."""
    before, after = {"OutRsts": 1, "CurrEstab": 3, "InSegs": 9}, {"OutRsts": 3, "CurrEstab": 2, "InSegs": 9, "New": 1}

    assert tcp_counters.grown(before, after) == {"OutRsts": 2, "New": 1}
