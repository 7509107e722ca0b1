"""Handshake Lab: see and test what Linux TCP does.

The names that this module exports are the public API (docs/reference/python.md). Everything else is private.

    >>> import handshake_lab as hl
    >>> run = hl.record(clients=["curl -s http://h2/"], servers=["python3 -m http.server 80"])  # doctest: +SKIP
    >>> print(hl.ladder(run.record, verdict=hl.judge(run.record)))  # doctest: +SKIP

The subpackages, in the order of a run: ``plan`` is the request, ``experiment`` executes it on a ``kernel``,
``observers`` watch the ``network``, ``recording`` contains their observations, ``reconcile`` joins these into
histories, ``verdict`` compares the histories with RFC 9293, ``report`` shows them; tests use ``expect``. ``tcp``
contains what the documents define, ``linux`` the kernel's raw interfaces. ``cli``, ``pytest_plugin`` and ``checkout``
use all of them. docs/explanation/architecture.md lists what each may import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from handshake_lab.errors import (
        EnvironmentUnsupported,
        FaultImpossible,
        FaultNeverFired,
        HandshakeError,
        ImpairmentNotApplied,
        KernelFailed,
        KernelRefused,
        NotAsDocumented,
        NotRecorded,
        ProgramFailed,
        RecordUnreadable,
        SegmentUnexpected,
        SettingMissing,
        UsageError,
        WaitTimedOut,
    )
    from handshake_lab.expect.histories import (
        endpoint,
        endpoints,
        entered,
        sockets_in,
        tracepoint_events,
        tracepoint_steps,
        transition,
        witnesses,
    )
    from handshake_lab.expect.kernel_release import kernel_since, kernel_version
    from handshake_lab.expect.sent import crafted_segment, exchange, sent, sent_at, sent_between, sent_flags
    from handshake_lab.expect.timer_windows import (
        approx_giving_up,
        approx_timer,
        approx_times,
        approx_trip,
        approx_waits,
        seconds,
    )
    from handshake_lab.expect.unexplained import unexplained
    from handshake_lab.experiment.net import Net
    from handshake_lab.experiment.properties import always, eventually, sometimes
    from handshake_lab.experiment.recorded_host import Host
    from handshake_lab.experiment.recorded_socket import RecordedSocket
    from handshake_lab.experiment.running_program import RunningProgram
    from handshake_lab.experiment.scripted_peer import ReceivedSegment, ScriptedPeer
    from handshake_lab.from_python import record
    from handshake_lab.network.faults.active_faults import ActiveFault
    from handshake_lab.network.impairments import Link
    from handshake_lab.observers.socket_snapshot import SocketSnapshot
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.link import Impairment
    from handshake_lab.pytest_plugin.dispatch.shared_fixtures import shared
    from handshake_lab.reconcile.stored_run import Run, read
    from handshake_lab.recording.history import Cause, Endpoint, Record, Transition, TransmittedSegment
    from handshake_lab.recording.observations import KernelInfo, Observation
    from handshake_lab.report.html.page import page
    from handshake_lab.report.terminal.ladder import text as ladder
    from handshake_lab.tcp.states import State
    from handshake_lab.tcp.timers import keepalive_schedule, syn_schedule, synack_schedule
    from handshake_lab.verdict.judge import Finding, Verdict, judge

__all__ = [
    "ActiveFault",
    "Cause",
    "Endpoint",
    "EnvironmentUnsupported",
    "Fault",
    "FaultImpossible",
    "FaultNeverFired",
    "Finding",
    "HandshakeError",
    "Host",
    "Impairment",
    "ImpairmentNotApplied",
    "KernelFailed",
    "KernelInfo",
    "KernelRefused",
    "Link",
    "Net",
    "NotAsDocumented",
    "NotRecorded",
    "Observation",
    "ProgramFailed",
    "ReceivedSegment",
    "Record",
    "RecordUnreadable",
    "RecordedSocket",
    "Run",
    "RunningProgram",
    "ScriptedPeer",
    "SegmentUnexpected",
    "SettingMissing",
    "SocketSnapshot",
    "State",
    "Transition",
    "TransmittedSegment",
    "UsageError",
    "Verdict",
    "WaitTimedOut",
    "always",
    "approx_giving_up",
    "approx_timer",
    "approx_times",
    "approx_trip",
    "approx_waits",
    "crafted_segment",
    "endpoint",
    "endpoints",
    "entered",
    "eventually",
    "exchange",
    "judge",
    "keepalive_schedule",
    "kernel_since",
    "kernel_version",
    "ladder",
    "page",
    "read",
    "record",
    "seconds",
    "sent",
    "sent_at",
    "sent_between",
    "sent_flags",
    "shared",
    "sockets_in",
    "sometimes",
    "syn_schedule",
    "synack_schedule",
    "tracepoint_events",
    "tracepoint_steps",
    "transition",
    "unexplained",
    "witnesses",
]

#: The module of each name, and its name there. A name is loaded on first use, because pytest imports this package in
#: every project that it tests.
_HOMES = {
    "ActiveFault": "handshake_lab.network.faults.active_faults:ActiveFault",
    "Cause": "handshake_lab.recording.history:Cause",
    "Endpoint": "handshake_lab.recording.history:Endpoint",
    "EnvironmentUnsupported": "handshake_lab.errors:EnvironmentUnsupported",
    "Fault": "handshake_lab.plan.fault:Fault",
    "FaultImpossible": "handshake_lab.errors:FaultImpossible",
    "FaultNeverFired": "handshake_lab.errors:FaultNeverFired",
    "Finding": "handshake_lab.verdict.judge:Finding",
    "HandshakeError": "handshake_lab.errors:HandshakeError",
    "Host": "handshake_lab.experiment.recorded_host:Host",
    "Impairment": "handshake_lab.plan.link:Impairment",
    "ImpairmentNotApplied": "handshake_lab.errors:ImpairmentNotApplied",
    "KernelFailed": "handshake_lab.errors:KernelFailed",
    "KernelInfo": "handshake_lab.recording.observations:KernelInfo",
    "KernelRefused": "handshake_lab.errors:KernelRefused",
    "Link": "handshake_lab.network.impairments:Link",
    "Net": "handshake_lab.experiment.net:Net",
    "NotAsDocumented": "handshake_lab.errors:NotAsDocumented",
    "NotRecorded": "handshake_lab.errors:NotRecorded",
    "Observation": "handshake_lab.recording.observations:Observation",
    "ProgramFailed": "handshake_lab.errors:ProgramFailed",
    "ReceivedSegment": "handshake_lab.experiment.scripted_peer:ReceivedSegment",
    "Record": "handshake_lab.recording.history:Record",
    "RecordUnreadable": "handshake_lab.errors:RecordUnreadable",
    "RecordedSocket": "handshake_lab.experiment.recorded_socket:RecordedSocket",
    "Run": "handshake_lab.reconcile.stored_run:Run",
    "RunningProgram": "handshake_lab.experiment.running_program:RunningProgram",
    "ScriptedPeer": "handshake_lab.experiment.scripted_peer:ScriptedPeer",
    "SegmentUnexpected": "handshake_lab.errors:SegmentUnexpected",
    "SettingMissing": "handshake_lab.errors:SettingMissing",
    "SocketSnapshot": "handshake_lab.observers.socket_snapshot:SocketSnapshot",
    "State": "handshake_lab.tcp.states:State",
    "Transition": "handshake_lab.recording.history:Transition",
    "TransmittedSegment": "handshake_lab.recording.history:TransmittedSegment",
    "UsageError": "handshake_lab.errors:UsageError",
    "Verdict": "handshake_lab.verdict.judge:Verdict",
    "WaitTimedOut": "handshake_lab.errors:WaitTimedOut",
    "always": "handshake_lab.experiment.properties:always",
    "approx_giving_up": "handshake_lab.expect.timer_windows:approx_giving_up",
    "approx_timer": "handshake_lab.expect.timer_windows:approx_timer",
    "approx_times": "handshake_lab.expect.timer_windows:approx_times",
    "approx_trip": "handshake_lab.expect.timer_windows:approx_trip",
    "approx_waits": "handshake_lab.expect.timer_windows:approx_waits",
    "crafted_segment": "handshake_lab.expect.sent:crafted_segment",
    "endpoint": "handshake_lab.expect.histories:endpoint",
    "endpoints": "handshake_lab.expect.histories:endpoints",
    "entered": "handshake_lab.expect.histories:entered",
    "eventually": "handshake_lab.experiment.properties:eventually",
    "exchange": "handshake_lab.expect.sent:exchange",
    "judge": "handshake_lab.verdict.judge:judge",
    "keepalive_schedule": "handshake_lab.tcp.timers:keepalive_schedule",
    "kernel_since": "handshake_lab.expect.kernel_release:kernel_since",
    "kernel_version": "handshake_lab.expect.kernel_release:kernel_version",
    "ladder": "handshake_lab.report.terminal.ladder:text",
    "page": "handshake_lab.report.html.page:page",
    "read": "handshake_lab.reconcile.stored_run:read",
    "record": "handshake_lab.from_python:record",
    "seconds": "handshake_lab.expect.timer_windows:seconds",
    "sent": "handshake_lab.expect.sent:sent",
    "sent_at": "handshake_lab.expect.sent:sent_at",
    "sent_between": "handshake_lab.expect.sent:sent_between",
    "sent_flags": "handshake_lab.expect.sent:sent_flags",
    "shared": "handshake_lab.pytest_plugin.dispatch.shared_fixtures:shared",
    "sockets_in": "handshake_lab.expect.histories:sockets_in",
    "sometimes": "handshake_lab.experiment.properties:sometimes",
    "syn_schedule": "handshake_lab.tcp.timers:syn_schedule",
    "synack_schedule": "handshake_lab.tcp.timers:synack_schedule",
    "tracepoint_events": "handshake_lab.expect.histories:tracepoint_events",
    "tracepoint_steps": "handshake_lab.expect.histories:tracepoint_steps",
    "transition": "handshake_lab.expect.histories:transition",
    "unexplained": "handshake_lab.expect.unexplained:unexplained",
    "witnesses": "handshake_lab.expect.histories:witnesses",
}


if not TYPE_CHECKING:  # otherwise a type checker would accept every name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'handshake_lab' has no attribute {name!r}")
        module, _, original = _HOMES[name].partition(":")
        value = globals()[name] = getattr(import_module(module), original)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
