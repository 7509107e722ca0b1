"""The fixture ``net``: the network of a test, recorded from its first segment to its last."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from handshake_lab.errors import NotAsDocumented, UsageError
from handshake_lab.pytest_plugin.options.command_line import NETWORK_MARKER
from handshake_lab.pytest_plugin.options.report_properties import MUTATION_CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from handshake_lab.experiment.net import Net
    from handshake_lab.plan.run_plan import RunPlan
    from handshake_lab.pytest_plugin.dispatch.worker import Place
    from handshake_lab.pytest_plugin.options.variants import Variant
    from handshake_lab.recording.history import Record

_EXAMPLE = '@pytest.mark.handshake(delay="50ms")'
#: The marker's name in error messages.
_SPELLED = f"pytest.mark.{NETWORK_MARKER}"


@pytest.fixture
def net(request: pytest.FixtureRequest, net_plan: RunPlan) -> Iterator[Net]:
    """The network that the marker ``handshake`` describes, in a separate kernel."""
    # Imported in the worker only, because the controller does not need them.
    from handshake_lab.experiment.recorded_run import recorded
    from handshake_lab.pytest_plugin.options import variants

    results = _place(request).results
    variant = variants.of(request.node)
    with _expecting(net_plan):
        if variant.mutation:
            from handshake_lab.pytest_plugin.mutations import Mutation

            mutation = Mutation(variant.mutation)
            with recorded(mutation.plan(net_plan), results) as net:
                mutation.enter(net)
                yield net
            request.node.user_properties.append((MUTATION_CHANGES, mutation.changes))
            return
        with recorded(net_plan, results) as net:
            yield net
            record = net.record() if variant.loss else None
        if record is not None:  # when the recording is complete
            _hold_against_document(record)


@contextmanager
def _expecting(plan: RunPlan) -> Iterator[None]:
    """Set the tolerance of time windows for this kernel; in real time, it includes the scheduling latency."""
    from handshake_lab.expect.timer_windows import expect_of
    from handshake_lab.experiment.scheduling_latency import SchedulingLatency

    if not plan.kernel.computing_takes_time:
        expect_of(plan.kernel)
        yield
        return
    with SchedulingLatency() as latency:
        expect_of(plan.kernel, latency.late, latency.slowness)
        yield


@pytest.fixture
def net_plan(request: pytest.FixtureRequest) -> RunPlan:
    """The plan of ``net``: from the marker ``handshake``, with the impairments of ``--handshake-link`` added.

    A project can override this fixture to give all its tests another network.
    """
    place = _place(request)
    wanted: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(NETWORK_MARKER))):
        if marker.args:
            raise UsageError(
                _SPELLED, marker.args[0], "is a positional argument; the marker takes keywords only", _EXAMPLE
            )
        wanted.update(marker.kwargs)
    return _plan(wanted, place, request.config.option.handshake_cost)


@pytest.fixture
def handshake_variant(request: pytest.FixtureRequest) -> Variant:
    """The variant of this test: the parameter that ``--handshake-seeds`` and ``--handshake-mutate`` set."""
    found: Variant = request.param
    return found


def _place(request: pytest.FixtureRequest) -> Place:
    from handshake_lab.pytest_plugin.dispatch.worker import PLACE

    place = request.config.stash.get(PLACE, None)
    if place is None:
        raise UsageError(
            "net",
            request.node.name,
            "requests it with getfixturevalue() after the test has started, without a kernel",
            "def test_it(net): ..., or @pytest.mark.usefixtures('net')",
        )
    return place


def _plan(wanted: dict[str, Any], place: Place, cost: str | None) -> RunPlan:
    from handshake_lab.plan.cost import NO_COST, parse_cost
    from handshake_lab.plan.fault import Fault
    from handshake_lab.plan.link import Impairment, LinkSpec
    from handshake_lab.plan.run_plan import RunPlan

    wanted.pop("seed", None)  # the kernel has it
    own = wanted.pop("cost", None)
    costs = parse_cost(cost if own is None else str(own), f"{_SPELLED} cost") or NO_COST
    topology = wanted.pop("topology", "pair")
    faults = _texts("faults", wanted.pop("faults", ()))
    links = _texts("links", wanted.pop("links", ()))
    sysctls = wanted.pop("sysctls", {})
    curves = wanted.pop("curves", False)
    if not isinstance(topology, str):
        raise UsageError(f"{_SPELLED} topology", topology, "is not the name of a topology", 'topology="star"')
    if not isinstance(sysctls, dict):
        raise UsageError(f"{_SPELLED} sysctls", sysctls, "is not a mapping", 'sysctls={"net.ipv4.tcp_syncookies": 2}')
    if not isinstance(curves, bool):
        raise UsageError(f"{_SPELLED} curves", curves, "is neither True nor False", "curves=True")
    impairment = Impairment.of(wanted, spell=f"{_SPELLED} {{}}", complete=False)
    everywhere = (LinkSpec(impairment),) if impairment else ()
    return RunPlan(
        script="",
        topology=topology,
        links=(*everywhere, *(LinkSpec.parse(text) for text in (*links, *place.links) if text)),
        faults=tuple(map(Fault.parse, faults)),
        sysctls={str(name): str(value) for name, value in sysctls.items()},
        kernel=place.kernel,
        cost=costs,
        cost_optional=False,
        replay=place.replay,
        follow=place.follow,
        schedule=place.schedule,
        curves=curves,
    )


def _texts(field: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return tuple(value)
    example = 'faults=["drop SYN nth=1 from h1"]' if field == "faults" else 'links=["h1>h2:loss=5%"]'
    raise UsageError(f"{_SPELLED} {field}", value, "is not a string or a list of strings", example)


def _hold_against_document(record: Record) -> None:
    """Fail a test under random loss if a transition is not an edge of RFC 9293's diagram."""
    from handshake_lab.verdict.judge import judge

    verdict = judge(record)
    if not verdict.ok:
        findings = [finding.text for finding in verdict.findings if finding.ok is False]
        raise NotAsDocumented("\n".join((verdict.summary, *findings)))
