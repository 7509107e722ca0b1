"""The fixture ``net``: the network of a test, recorded from its first segment to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.experiment.plan import Plan
    from harness.experiment.world import World


@pytest.fixture
def net(request: pytest.FixtureRequest) -> Iterator[World]:
    """The network that the marker ``network`` describes, on a kernel of its own."""
    # Imported where the kernel is: the outer session does not need any of it.
    from harness.experiment.world import recorded
    from harness.plugin.inside import PLACE

    place = request.config.stash[PLACE]
    with recorded(plan_of(request), place.results) as world:
        yield world


def plan_of(request: pytest.FixtureRequest) -> Plan:
    """What a test's marker asks for, with the command line's links laid over it.

    Raises:
        UsageError: The marker says something that cannot be meant.
    """
    from harness.experiment.plan import Plan
    from harness.network.link import Impairment
    from harness.plugin.inside import PLACE

    place = request.config.stash[PLACE]
    wanted = {}
    for marker in reversed(list(request.node.iter_markers("network"))):
        if marker.args:
            raise UsageError("network", marker.args, "takes keywords only", '@pytest.mark.network(delay="50ms")')
        wanted.update(marker.kwargs)
    topology = wanted.pop("topology", "pair")
    faults = wanted.pop("faults", ())
    sysctls = wanted.pop("sysctls", {})
    links = wanted.pop("links", ())
    impairment = str(Impairment.of(wanted, spell="@pytest.mark.network({}=…)"))
    return Plan(
        script="",
        topology=topology,
        links=tuple(filter(None, (impairment, *links, *place.links))),
        faults=(faults,) if isinstance(faults, str) else tuple(faults),
        sysctls=sysctls,
        kernel=place.kernel,
    )
