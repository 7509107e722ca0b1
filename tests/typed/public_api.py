"""The types of the public API, for a type checker; nothing here is run.

``assert_type`` fails the check where a name has another type than users rely on, and an unused ``type: ignore`` where a
mistake is no longer found. tests/unit/test_face.py checks this file with mypy, and that it uses every exported name;
.ci/installed checks it against the built wheel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_type

import handshake_lab as hl
from handshake_lab import (
    ActiveFault,
    Cause,
    Endpoint,
    Fault,
    Finding,
    Host,
    Impairment,
    KernelInfo,
    Link,
    Net,
    Observation,
    ReceivedSegment,
    Record,
    RecordedSocket,
    Run,
    RunningProgram,
    ScriptedPeer,
    SocketSnapshot,
    State,
    Transition,
    TransmittedSegment,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def runs(directory: Path) -> None:
    """Recording and reading."""
    run = hl.record(
        servers=["python3 -m http.server 80"],
        clients=["curl -s http://h2/"],
        links=["delay=50ms"],
        faults=["drop SYN-ACK nth=1"],
        at=[("10s", "cut h1-s1 for 30s")],
        sysctls={"h2:net.ipv4.tcp_syncookies": 2},
        kernel="lab",
        seed=7,
        out=directory,
    )
    assert_type(run, Run)
    assert_type(hl.read(directory), Run)
    assert_type(run.record, Record)
    assert_type(run.observations, tuple[Observation, ...])
    assert_type(run.directory, "Path | None")
    verdict = hl.judge(run.record)
    assert_type(verdict, Verdict)
    assert_type(verdict.findings, tuple[Finding, ...])
    assert_type(verdict.ok, bool)
    assert_type(hl.ladder(run.record, verdict=verdict, lang="ko"), str)
    assert_type(hl.page(run.record, run.observations, title="one run"), str)
    hl.record(cleints=["true"])  # type: ignore[call-arg]
    hl.record(clients="true", seed="7")  # type: ignore[arg-type]


def records(record: Record) -> None:
    """What a record contains, and selections from it."""
    one = hl.endpoint(record, "h1", "client")
    assert_type(one, Endpoint)
    assert_type(hl.endpoints(record, "h1"), list[Endpoint])
    assert_type(record.endpoints, tuple[Endpoint, ...])
    assert_type(record.segments, tuple[TransmittedSegment, ...])
    assert_type(one.states, list[State])
    assert_type(one.time_in("SYN-SENT"), int)
    assert_type(hl.seconds(one.time_in(State.SYN_SENT)), float)
    step = hl.transition(one, "ESTABLISHED")
    assert_type(step, Transition)
    assert_type(step.old, State)
    assert_type(step.time, int)
    assert_type(step.cause, Cause)
    assert_type(step.cause.segment, "int | None")
    assert_type(step.cause.text, str)
    assert_type(hl.entered(one, State.ESTABLISHED), float)
    assert_type(len(hl.witnesses(one, "ESTABLISHED")), int)
    for segment in hl.sent(record, "SYN", sender="h1", of=one):
        assert_type(segment, TransmittedSegment)
        assert_type(segment.lost, bool)
        assert_type(segment.sent, "int | None")
    assert_type(hl.sent_flags(record), list[str])
    assert_type(hl.sent_at(record, "SYN"), list[float])
    assert_type(hl.sent_between(record, 0.0, 1.0), list[str])
    assert_type(hl.exchange(record, after=1.0), list[str])
    assert_type(hl.crafted_segment(record), TransmittedSegment)
    assert_type(hl.unexplained(record), list[str])
    hl.entered(one)  # type: ignore[call-arg]


def observations(run: Run, history: Endpoint) -> None:
    """What observers saw."""
    assert_type(hl.tracepoint_steps(run.observations, history), list[str])
    assert_type(len(hl.tracepoint_events(run.observations, "tcp_retransmit_skb", of=history)), int)


def networks(net: Net) -> None:
    """The fixture."""
    assert_type(net.hosts, list[Host])
    assert_type(net.get("h1"), Host)
    assert_type(net.get("h1", "h2"), list[Host])
    assert_type(net.rtt, float)
    assert_type(net.drop("SYN", nth=1, from_="h1"), ActiveFault)
    assert_type(net.delay("FIN", by="1s"), ActiveFault)
    assert_type(net.inject("RST", to="h1", seq=1), ActiveFault)
    assert_type(net.fault(Fault.parse("drop SYN nth=1")), ActiveFault)
    assert_type(net.record(), Record)
    link = net.link("h1", "s1")
    assert_type(link, Link)
    assert_type(link.impairment(to="s1"), Impairment)
    link.set(delay="40ms", loss="5%")
    net.at("10s", "cut h1-s1 for 30s")
    for branch in net.branches(at="SYN-ACK nth=1", of=("deliver", "drop")):
        del branch
    net.drop("SYN", nht=1)  # type: ignore[call-arg]
    net.sleep("1s")  # type: ignore[arg-type]


def hosts(net: Net, host: Host) -> None:
    """Sockets, programs and settings of a host."""
    server = host.listen(80, backlog=1)
    assert_type(server, RecordedSocket)
    assert_type(host.connect(server), RecordedSocket)
    assert_type(host.begin_connect(("h2", 80)), RecordedSocket)
    assert_type(server.accept()[0], RecordedSocket)
    assert_type(server.node, str)
    assert_type(net.history(server), Endpoint)
    assert_type(net.wait_for_state(server, "LISTEN"), SocketSnapshot)
    assert_type(net.wait_until_closed(), list[SocketSnapshot])
    assert_type(host.wait_for("LISTEN", count=1), list[SocketSnapshot])
    assert_type(hl.sockets_in(host.sockets(), "LISTEN"), list[str])
    program = host.start(["nc", "-l", "80"], listening=80, env={"A": "b"})
    assert_type(program, RunningProgram)
    assert_type(program.status, "int | None")
    assert_type(program.wait(10.0), int)
    assert_type(host.sysctl("net.ipv4.tcp_syn_retries", 2), str)
    assert_type(host.counters(), dict[str, int])
    assert_type(host.IP(), str)
    host.start("nc -l 80", listning=80)  # type: ignore[call-arg]


def faults(fault: ActiveFault) -> None:
    """A fault in force."""
    assert_type(fault.fired, int)
    assert_type(fault.wait(2, limit=10.0), int)
    assert_type(fault.release(), int)
    fault.fired = 3  # type: ignore[misc]


def peers(host: Host) -> None:
    """One end of a connection without a socket."""
    peer = host.scripted_peer(80)
    assert_type(peer, ScriptedPeer)
    got = peer.expect("SYN", seq=0)
    assert_type(got, ReceivedSegment)
    assert_type(got.payload, bytes)
    peer.send("SYN-ACK", ack=1, window=1000, options="mss 1460")


def times(kernel: KernelInfo, waited: float) -> None:
    """Expected times are compared with measured ones."""
    release = hl.kernel_version(kernel)
    assert_type(release, tuple[int, int])
    assert_type(hl.kernel_since(kernel, 6, 5), bool)
    assert_type(waited == hl.approx_timer(1.0, plus=0.1), bool)
    assert_type(waited == hl.approx_trip(0.1), bool)
    assert_type([waited] == hl.approx_waits(1.0, 2.0), bool)
    assert_type([waited] == hl.approx_times(hl.syn_schedule(release)), bool)
    assert_type(waited == hl.approx_giving_up(hl.synack_schedule(retries=2)), bool)
    assert_type([waited] == hl.approx_times(hl.keepalive_schedule(idle=10, interval=5, count=3)), bool)
    hl.approx_timer("1s")  # type: ignore[arg-type]


def properties(count: int) -> None:
    """What has to hold in all, or some, explored runs."""
    hl.always(count < 2, "at most one")
    hl.sometimes(count == 1, "once")
    hl.eventually(lambda: count, "it comes", within="10s")


@hl.shared
def compiled(tmp_path: Path) -> Iterator[Path]:
    """A decorated function keeps its type."""
    yield tmp_path


def errors(net: Net) -> None:
    """All of them are of one tree, with an exit status."""
    try:
        net.settle()
    except hl.WaitTimedOut as error:
        assert_type(error.exit_code, int)
    except (
        hl.EnvironmentUnsupported,
        hl.FaultImpossible,
        hl.FaultNeverFired,
        hl.ImpairmentNotApplied,
        hl.KernelFailed,
        hl.KernelRefused,
        hl.NotAsDocumented,
        hl.NotRecorded,
        hl.ProgramFailed,
        hl.RecordUnreadable,
        hl.SegmentUnexpected,
        hl.SettingMissing,
        hl.UsageError,
    ) as error:
        base: hl.HandshakeError = error
        assert_type(base.exit_code, int)


del hl.recorder  # type: ignore[attr-defined]
