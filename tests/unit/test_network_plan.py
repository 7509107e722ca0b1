"""From a Topo to a plan: names and addresses as Mininet gives them, neighbours, paths, and what is refused."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.plan.checks import check_requests, parse_faults, parse_links
from handshake_lab.plan.from_topo import from_topo
from handshake_lab.plan.link import Impairment, LinkSpec
from handshake_lab.plan.load_topology import load_topology
from handshake_lab.plan.placement import place
from mininet.topo import Topo

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.plan.network_plan import NetworkPlan


def plan(text: str) -> NetworkPlan:
    """The plan of a topology by name."""
    return from_topo(load_topology(text))


def placed(text: str, *links: str) -> dict[str, str]:
    """What is impaired where, by interface."""
    asked = place(plan(text), [LinkSpec.parse(link) for link in links])
    return {name: str(impairment) for name, impairment in asked.items() if impairment}


def made(build: Any) -> NetworkPlan:
    """The plan of a Topo that a function builds."""

    class Course(Topo):  # type: ignore[misc] # Mininet has no types
        def build(self) -> None:
            build(self)

    return from_topo(Course())


def test_pair_has_the_names_and_addresses_that_mininet_gives() -> None:
    """h1-eth0 with 10.0.0.1/8, s1-eth1 and so on; hardware addresses of every interface differ."""
    pair = plan("pair")
    ports = {port.name: port for ends in pair.links for port in ends}

    assert set(ports) == {"h1-eth0", "h2-eth0", "s1-eth1", "s1-eth2"}
    assert ports["h1-eth0"].addresses == ["10.0.0.1/8"]
    assert ports["h2-eth0"].addresses == ["10.0.0.2/8"]
    assert ports["h2-eth0"].peer == "s1-eth2"
    assert len({port.mac for port in ports.values()}) == 4
    assert len({port.index for port in ports.values()} | {pair.nodes["s1"].index}) == 5


def test_ipv6_comes_first_where_it_is_wanted() -> None:
    """A host's name stands for its IPv6 address; it keeps its IPv4 address."""
    assert plan("pair,ipv6=true").nodes["h1"].addresses == ["fd00::1", "10.0.0.1"]


@pytest.mark.parametrize(
    ("topology", "where"),
    [
        ("pair", {"s1-eth1", "s1-eth2"}),
        ("star,3", {"s1-eth1", "s1-eth2", "s1-eth3"}),
        ("chain,3", {"s1-eth1", "s3-eth2"}),
        ("dumbbell", {"s1-eth3", "s2-eth3"}),
        ("routed", {"r1-eth0", "r1-eth1"}),
        ("nat", {"r1-eth0", "r1-eth1"}),
    ],
)
def test_an_impairment_sits_in_the_middle_once_on_every_path(topology: str, where: set[str]) -> None:
    """``--link delay=…`` and the topology's own ``delay=…`` act at the same places, never at a host."""
    assert dict.fromkeys(where, "delay=50ms") == placed(topology, "delay=50ms")
    assert dict.fromkeys(where, "delay=50ms") == placed(f"{topology},delay=50ms")


def test_a_request_names_a_link_a_direction_or_a_path() -> None:
    """h1>h2 is the path's last link, h1>s1 the first; what has no place comes under what has one."""
    assert placed("pair", "h1>h2:loss=5%") == {"s1-eth2": "loss=5%"}
    assert placed("pair", "h1>s1:loss=5%") == {"h1-eth0": "loss=5%"}
    assert placed("pair", "h1-s1:loss=5%") == {"s1-eth1": "loss=5%", "h1-eth0": "loss=5%"}
    assert placed("pair", "delay=5ms", "h1>h2:loss=5%") == {"s1-eth1": "delay=5ms", "s1-eth2": "delay=5ms,loss=5%"}


@pytest.mark.parametrize(
    ("topology", "link", "reason"),
    [
        ("pair", "h1>h3:loss=5%", "'h3' is not a node of this network"),
        ("star", "h1>h2:loss=5%", "'h1-h2' is not a link of this network"),
        ("pair", "h1>h2:reorder=5%", r"link s1>h2 reorder: '5%' requires delay"),
        ("pair,delay=5ms", "h1>h2:jitter=6ms", r"link s1>h2 jitter: '6ms' is larger than the delay \(5ms\)"),
        ("pair,delay=5ms", "delay=5ms,jitter=6ms", "link jitter: '6ms' is larger than the delay"),
        ("pair,delay=5ms,jitter=1ms", "h1>h2:delay=0ms", "link s1>h2 jitter: '1ms' requires delay"),
    ],
)
def test_a_request_that_means_nothing_here_is_refused(topology: str, link: str, reason: str) -> None:
    """A name that is not there, two nodes that no link joins, or what such a link cannot do."""
    with pytest.raises(UsageError, match=reason):
        check_requests(topology, parse_links([link]), [])


def test_a_request_may_need_what_is_there_already() -> None:
    """A jitter is laid over a delay, wherever that comes from and in whatever order."""
    both = dict.fromkeys(["s1-eth1", "s1-eth2"], "delay=50ms,jitter=5ms")
    assert both == placed("pair", "delay=50ms", "jitter=5ms")
    assert both == placed("pair", "jitter=5ms", "delay=50ms")
    assert both == placed("pair,delay=50ms", "jitter=5ms")
    assert placed("pair", "delay=50ms", "h1>h2:reorder=5%") == {
        "s1-eth1": "delay=50ms",
        "s1-eth2": "delay=50ms,reorder=5%",
    }


def test_a_request_can_take_away_what_another_asks_for() -> None:
    """delay=0ms is not a delay, whatever came before; what it does not name stays."""
    assert placed("pair", "delay=50ms,loss=1%", "delay=0ms") == dict.fromkeys(["s1-eth1", "s1-eth2"], "loss=1%")
    assert placed("pair", "delay=50ms", "delay=0ms") == {}
    assert placed("pair", "h1>h2:delay=5ms", "h1>h2:") == {}


def test_a_fault_of_a_host_that_is_not_there_is_refused() -> None:
    """Before any kernel is started."""
    with pytest.raises(UsageError, match="'h7' is not a node of this network"):
        check_requests("pair", [], parse_faults(["drop SYN from h7"]))
    with pytest.raises(UsageError, match="is not an end host"):
        check_requests("pair", [], parse_faults(["drop SYN from s1"]))


def test_two_hosts_joined_directly_get_a_middle() -> None:
    """What acted on a host's own interface acts at the far end of the wire."""
    direct = made(lambda topo: topo.addLink(topo.addHost("h1"), topo.addHost("h2"), delay="5ms", bw=10, loss=1))

    assert {name: node.kind for name, node in direct.nodes.items()} == {"h1": "host", "h2": "host", "w1": "switch"}
    assert {"w1-eth1", "w1-eth2"} == {name for name, asked in place(direct, []).items() if asked}
    assert Impairment.parse("delay=5ms,loss=1%,rate=10mbit") == direct.port("w1-eth2").impairment


def test_courses_words_for_routers_routes_and_interfaces_are_understood() -> None:
    """A node whose class is called a router and that has two links forwards; names, addresses and routes are kept."""

    class LinuxRouter:
        """A course's own."""

    def build(topo: Topo) -> None:
        router = topo.addNode("r0", cls=LinuxRouter, ip="192.168.1.1/24")
        for number in (1, 2):
            host = topo.addHost(f"h{number}", ip=f"192.168.{number}.100/24", defaultRoute=f"via 192.168.{number}.1")
            topo.addLink(host, router, intfName2=f"r0-lan{number}", params2={"ip": f"192.168.{number}.1/24"})

    course = made(build)

    assert course.nodes["r0"].kind == "router"
    assert course.nodes["r0"].addresses == ["192.168.1.1", "192.168.2.1"]
    assert course.nodes["h2"].routes == [("0.0.0.0", 0, "192.168.2.1")]  # noqa: S104
    assert course.port("r0-lan2").node == "r0"
    assert ["h1-eth0", "r0-lan1"] in [sorted(domain) for domain in course.domains()]
    assert [port.name for port in course.path("h1", "h2")] == ["h1-eth0", "r0-lan2"]


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda topo: topo.addLink(topo.addHost("h1"), topo.addHost("h2"), delay="5"), "has no unit"),
        (lambda topo: topo.addLink(topo.addHost("h1"), topo.addHost("h2"), loss=120), "is over 100%"),
        (
            lambda topo: topo.addLink(topo.addHost("h1"), topo.addHost("h2"), params1={"ip": "10.0.0.1"}),
            "no prefix length",
        ),
        (lambda topo: topo.addHost("a host"), "is not a name"),
        (lambda topo: topo.addLink(topo.addHost("a-b"), topo.addHost("h2")), "is not a name"),
        (lambda topo: topo.addLink(topo.addHost("h123456789012"), topo.addHost("h2")), "longer than 15"),
        (lambda topo: topo.addHost("h1", defaultRoute="10.0.0.1"), "does not name a gateway"),
    ],
)
def test_a_topo_that_cannot_be_meant_is_refused(build: Any, reason: str) -> None:
    """Mininet would print something, or nothing, and carry on."""
    with pytest.raises(UsageError, match=reason):
        made(build)


def test_switches_in_a_loop_are_refused() -> None:
    """Frames would circulate indefinitely."""

    def build(topo: Topo) -> None:
        switches = [topo.addSwitch(f"s{number}") for number in (1, 2, 3)]
        for one, other in zip(switches, switches[1:] + switches[:1], strict=True):
            topo.addLink(one, other)
        topo.addLink(topo.addHost("h1"), "s1")

    with pytest.raises(UsageError, match="'s1, s2, s3' are switches in a loop"):
        made(build)


def test_a_course_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    """As ``mn --custom`` does, with parameters; errors in it are reported."""
    file = tmp_path / "course.py"
    file.write_text(
        textwrap.dedent(
            """
            from mininet.topo import Topo
            class Tree(Topo):
                def build(self, n=2):
                    self.addSwitch("s1")
                    for i in range(n):
                        self.addLink(self.addHost(f"h{i}"), "s1")
            topos = {"tree": Tree, "big": lambda: Tree(n=9)}
            """
        )
    )

    assert len(from_topo(load_topology(f"{file}:tree,3")).nodes) == 4
    assert len(from_topo(load_topology(f"{file}:big")).nodes) == 10
    with pytest.raises(UsageError, match=r"does not name one of the topologies in the file \(tree, big\)"):
        load_topology(str(file))
    with pytest.raises(UsageError, match="rejected by the topology"):
        load_topology(f"{file}:tree,n=3,colour=red")
    file.write_text("import nothing_of_that_name\n")
    with pytest.raises(UsageError, match="cannot be loaded"):
        load_topology(str(file))
    with pytest.raises(UsageError, match="does not exist"):
        load_topology(str(tmp_path / "no.py"))
    with pytest.raises(UsageError, match="is neither one of pair, star"):
        load_topology("ring")
