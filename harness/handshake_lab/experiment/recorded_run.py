"""The part of a run in the kernel: build the plan's network, record it while a script uses it, close the record."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import FaultNeverFired, HandshakeError
from handshake_lab.experiment.live_recording import Journal, LiveRecording
from handshake_lab.experiment.net import Net
from handshake_lab.experiment.repeatability import charge, not_repeatable
from handshake_lab.experiment.run_start import begin, repeatable
from handshake_lab.experiment.scheduled import ScheduledFaults
from handshake_lab.kernel.lab.branch_point import end_here
from handshake_lab.network.network import Network
from handshake_lab.observers.clock import Clock
from handshake_lab.observers.recorder import Recorder
from handshake_lab.plan import units
from handshake_lab.plan.fault_matching import why_never
from handshake_lab.plan.load_topology import load_topology
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import Writer
from handshake_lab.recording.observations import FORMAT_VERSION, Failure, RunEnd, RunHeader
from handshake_lab.recording.run_files import ERROR, EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from handshake_lab.network.nodes import NetworkNode
    from handshake_lab.plan.fault import Fault


class Watched:
    """A host or router as the recorder needs it. A host's own connections use its loopback interface."""

    def __init__(self, node: NetworkNode) -> None:
        self.name = node.name
        self.addresses = node.addresses
        self.interfaces = [port.name for port in node.ports]
        if node.kind == "host":
            self.interfaces.append("lo")
        self.enter = node.enter


@contextlib.contextmanager
def recorded(plan: RunPlan, results: Path) -> Iterator[Net]:
    """Build the plan's network, observe it, and write the observations to ``events.jsonl`` in ``results``.

    Raises:
        ImpairmentNotApplied: A link has other settings than requested.
        FaultNeverFired: At the end, a fault has matched no segment, or the time of an action has not come.
    """
    seed = plan.kernel.seed
    topology = load_topology(plan.found_topology or plan.topology)
    with repeatable(seed), Network(topology, plan.links, plan.faults, sysctls=plan.sysctls) as network:
        clock = Clock(virtual=not plan.kernel.computing_takes_time)
        with Writer(results / EVENTS) as writer:
            journal = Journal(writer)
            routers = [node for node in network.nodes.values() if node.kind == "router"]
            recorder = Recorder(
                [Watched(host) for host in network.hosts],
                clock,
                journal,
                int(plan.heartbeat * 1e9),
                routers=[Watched(router) for router in routers],
                curves=plan.curves,
            )
            recorder.open()
            recording = LiveRecording(network, recorder, clock, results)
            recording.follow = None if plan.follow is None else list(plan.follow)
            if plan.schedule is not None:
                scheduled = ScheduledFaults(plan.schedule, network, results, journal.reopen, recording)
                network.decide(scheduled.watched, scheduled.decide)
            kernel = msgspec.structs.replace(plan.kernel, release=os.uname().release)
            net = Net(recording, journal, kernel)
            try:
                with recorder:
                    if seed is not None:
                        begin(seed, "run")
                    charge(plan.cost, plan.kernel.seed, optional=plan.cost_optional)
                    clock.start()
                    header = RunHeader(
                        t=0,
                        version=FORMAT_VERSION,
                        kernel=kernel,
                        topology=plan.topology,
                        nodes={node.name: list(node.addresses) for node in (*network.hosts, *routers)},
                        links=network.links,
                        faults=[str(fault) for fault in plan.faults],
                        observers=recorder.observers,
                        started=clock.started,
                        replay=plan.replay,
                    )
                    journal.write_all([header])
                    recorder.sync()
                    recording.timed.begin(plan.timed)
                    yield net
                    net.settle()
                    unreached = recording.timed.stop()
            finally:
                recording.close()
            ended = recorder.ended
            exceptions = not_repeatable(ended, recording) if plan.kernel.kind == "lab" else ()
            journal.write_all([*network.reports(ended), *exceptions, RunEnd(t=ended)])
            _check(network.idle_faults(), unreached, journal)


def _check(idle: list[Fault], unreached: list[str], journal: Journal) -> None:
    """Check that what was wanted to happen to the network has happened.

    Raises:
        FaultNeverFired: A fault matched no segment, or the time of an action did not come.
    """
    record = reconcile(journal.observations) if idle or unreached else None
    if record is not None and idle:
        raise FaultNeverFired.of(
            {str(f): why_never(f, record.datagrams if f.watched == "UDP" else record.segments) for f in idle}
        )
    if record is not None and unreached:
        ended = journal.observations[-1].t // units.MILLISECOND * units.MILLISECOND
        raise FaultNeverFired(
            f"the run ended at {units.show_duration(ended)}, before {' and '.join(map(repr, unreached))}"
        )


def enter(argument: Any, results: Path) -> int:
    """The job of `handshake_lab.experiment.execute`: run a plan's script and record it."""
    plan = msgspec.convert(argument, RunPlan)
    module, _, function = plan.script.partition(":")
    script = getattr(importlib.import_module(module), function)
    if plan.directory:
        os.chdir(plan.directory)
    try:
        with recorded(plan, results) as net, net.recording.script():
            try:
                script(net, plan.argument)
            except HandshakeError:
                raise
            except OSError as error:
                # A call of the script failed. The record is kept, because it shows where.
                net.recording.report(Failure(t=net.clock.now(), node="", what=f"{type(error).__name__}: {error}"))
    except HandshakeError as error:
        (results / ERROR).write_text(json.dumps(error.to_document()))
    if plan.schedule is not None:
        end_here()  # all that is read of an explored run is written
    return 0
