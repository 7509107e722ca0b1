"""Topology files as courses have them: what is loaded from them, and why a file is refused."""

from __future__ import annotations

import re
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.plan.from_topo import from_topo
from handshake_lab.plan.load_topology import absolute_topology, load_topology, topology_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.plan.network_plan import NetworkPlan

#: One Topo, for files that begin with it.
PAIR = """
from mininet.topo import Topo
class Pair(Topo):
    def build(self, n=2):
        for number in range(1, n + 1):
            self.addHost(f"h{number}")
        self.addLink("h1", "h2")
"""
SWITCHED = """
from mininet.node import Node, OVSSwitch, CPULimitedHost
from mininet.link import TCLink
from mininet.topo import Topo
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a file; its path."""

    def done(text: str) -> str:
        (tmp_path / "course.py").write_text(textwrap.dedent(text))
        return str(tmp_path / "course.py")

    return done


@pytest.fixture
def plan(write: Callable[[str], str]) -> Callable[[str], NetworkPlan]:
    """The plan of the only topology of a file whose build() has a body."""

    def made(body: str, before: str = "") -> NetworkPlan:
        text = f"{SWITCHED}{textwrap.dedent(before)}\nclass Course(Topo):\n    def build(self, **_opts):\n"
        return from_topo(load_topology(write(text + textwrap.indent(textwrap.dedent(body), "        "))))

    return made


@pytest.mark.parametrize(
    ("more", "name", "hosts"),
    [
        ("", "", 2),
        ("", ":Pair,n=4", 4),
        ("topos = {'small': Pair, 'large': lambda n=7: Pair(n=n)}", ":large", 7),
        ("topos = {'small': Pair, 'large': lambda n=7: Pair(n=n)}", ":large,3", 3),
        ("topos = {'only': (lambda: Pair(n=5))}", "", 5),
        ("topos = {'only': (lambda: Pair(n=5))}", ":Pair", 2),
        ("if __name__ == '__main__':\n    raise RuntimeError", "", 2),
        ("from mininet.topo import SingleSwitchTopo, LinearTopo", "", 2),
        ("import argparse\nn = argparse.ArgumentParser().parse_args()", "", 2),
        ("import sys\nassert len(sys.argv) == 1", "", 2),
    ],
)
def test_loads(write: Callable[[str], str], more: str, name: str, hosts: int) -> None:
    """By the dictionary `topos`, by the class, or because there is only one."""
    before = list(sys.argv), list(sys.path)

    assert len(from_topo(load_topology(write(PAIR + more) + name)).nodes) == hosts + 1
    assert before == (sys.argv, sys.path)


def test_a_module_beside_the_file(write: Callable[[str], str], tmp_path: Path) -> None:
    """A file imports its neighbours, as a script does."""
    (tmp_path / "beside_the_course.py").write_text("NAME = 'h9'\n")
    file = write(f"{PAIR}        self.addLink(self.addHost(NAME), 'h1')\nfrom beside_the_course import NAME\n")

    assert "h9" in from_topo(load_topology(file)).nodes


def test_what_a_file_prints(write: Callable[[str], str], capsys: pytest.CaptureFixture[str]) -> None:
    """It is not mixed with what the command prints."""
    load_topology(write(PAIR + "print('making it')\n"))

    assert capsys.readouterr() == ("", "making it\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("print 'hello'\n", "Python 2"),
        ("try:\n    pass\nexcept ValueError, error:\n    pass\n", "Python 2"),
        ("raise ValueError, 'no'\n", "Python 2"),
        ("import urllib2\n", "Python 2: it imports urllib2"),
        (PAIR + "for n in xrange(3): pass\n", r"xrange is of Python 2.*line 8: for n in xrange"),
        ("class Lab(:\n    pass\n", r"is not valid Python \(line 1: class Lab"),
        ("import ryu.base\n", "has to be installed"),
        (PAIR + "1 / 0\n", r"ZeroDivisionError: division by zero \(line 8: 1 / 0\)"),
        (PAIR + "raise SystemExit('Usage: lab.py RATE')\n", "exits when it is loaded.*Usage: lab.py RATE"),
        (
            PAIR + "import argparse\np = argparse.ArgumentParser()\np.add_argument('rate')\np.parse_args()\n",
            r"exits when it is loaded.*line 11: p.parse_args\(\)",
        ),
        (
            PAIR + "from mininet.net import Mininet\nnet = Mininet(topo=Pair())\nnet.start()\n",
            "starts a network.*line 9",
        ),
        (PAIR + "import mininet.net\nclass Mine(mininet.net.Mininet): pass\nMine()\n", "starts a network"),
        ("def lab():\n    pass\n", "contains no topology: neither a class derived from mininet.topo.Topo nor"),
        (
            "from mininet.net import Mininet\ndef lab():\n    net = Mininet()\n    net.addHost('h1')\n",
            "Mininet's methods",
        ),
        ("topos = ['pair']\n", "'topos' that is not a dictionary"),
        ("topos = {'a': lambda: 7}\n", "makes a int, which is not a Topo"),
        (PAIR + "class Other(Topo): pass\n", r"does not name one of the topologies in the file \(Pair, Other\)"),
        (PAIR.replace("n=2", "n"), r"missing 1 required positional argument: 'n' \(its parameters: n\)"),
        (PAIR.replace('"h2")', '"h3")'), "KeyError"),
    ],
)
def test_is_refused(write: Callable[[str], str], text: str, reason: str) -> None:
    """The reason and the line are given; no file ends with a traceback."""
    with pytest.raises(UsageError, match=rf"(?s){reason}"):
        from_topo(load_topology(write(text)))


def test_an_empty_topology(write: Callable[[str], str]) -> None:
    """There is nothing to record on."""
    with pytest.raises(UsageError, match="has no hosts"):
        from_topo(load_topology(write("from mininet.topo import Topo\nclass Empty(Topo): pass\n")))


def test_names_of_files() -> None:
    """A topology's path ends at .py; it is found from other directories."""
    assert topology_directory("pair") is None
    assert absolute_topology("star,n=5") == "star,n=5"
    assert absolute_topology("/a/my.pyfiles/lab.py:x,n=2") == "/a/my.pyfiles/lab.py:x,n=2"
    assert absolute_topology("/a/b, c/lab.py,file=x.py") == "/a/b, c/lab.py,file=x.py"


def test_words_of_links(plan: Callable[[str], NetworkPlan]) -> None:
    """Names, addresses and properties of Mininet's links."""
    made = plan(
        """
        h1, h2 = self.addHost("h1", ip="10.0.0.7"), self.addHost("h2", mac="00:00:00:00:00:02")
        s1 = self.addSwitch("s1", cls=OVSSwitch, failMode="standalone", protocols="OpenFlow13", dpid="1")
        self.addLink(h1, s1, intfName1="uplink", params1={"ip": "10.0.0.9/24"}, cls=TCLink, bw=10, delay="5ms", loss=1,
                     max_queue_size=50, use_htb=True, jitter="1ms")
        self.addLink(s1, h2, port1=7, addr1="00:00:00:00:01:07", bw=1.5)
        """
    )

    assert made.port("uplink").addresses == ["10.0.0.9/24"]
    assert str(made.port("uplink").impairment) == "delay=5ms,jitter=1ms,loss=1%,rate=10mbit,limit=50"
    assert made.port("h2-eth0").mac == "00:00:00:00:00:02"
    assert made.port("s1-eth7").mac == "00:00:00:00:01:07"
    assert made.notes == []


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("self.addLink(self.addHost('h1'), self.addHost('h2'), bw=1, speedup=2)", "link h1-h2: speedup=2"),
        ("self.addLink(self.addHost('h1'), self.addHost('h2'), dealy='5ms')", "the nearest is 'delay'"),
        ("self.addHost('h1', cls=CPULimitedHost, cpu=.5)", "h1: cpu=0.5 has no effect: the processor's time"),
        ("self.addHost('h1', privateDirs=['/var/log'])", "h1: privateDirs=.* has no effect: hosts share their files"),
        ("self.addHost('h1', cls=Own)", r"h1: of its class Own, only config\(\) is supported, not start"),
        ("self.addHost('h1') and self.addSwitch('s1', cls=OwnSwitch)", "s1: its class OwnSwitch is not supported"),
        ("self.addLink(self.addHost('h1'), self.addHost('h2'), cls=OwnLink)", "link h1-h2: its class OwnLink is not"),
    ],
)
def test_what_is_not_applied_is_named(plan: Callable[..., NetworkPlan], body: str, note: str) -> None:
    """A word that has no effect is not ignored in silence."""
    classes = """
        class Own(Node):
            def start(self): pass
        class OwnSwitch(OVSSwitch):
            def start(self, controllers): pass
        class OwnLink(TCLink): pass
        """
    notes = plan(body, classes).notes

    assert len(notes) == 1
    assert re.search(note, notes[0]), notes[0]


@pytest.mark.parametrize("word", ["enable_red", "enable_ecn"])
def test_a_queue_that_marks_is_refused(plan: Callable[..., NetworkPlan], word: str) -> None:
    """Without it the link would behave differently; where it is off, nothing is wrong."""
    link = "self.addLink(self.addHost('h1'), self.addHost('h2'), bw=1, {}={})"

    assert plan(link.format(word, False)).notes == []
    with pytest.raises(UsageError, match=f"link h1-h2 {word}.*RED.*handshake run"):
        plan(link.format(word, True))


def test_a_class_that_configures_its_node(plan: Callable[..., NetworkPlan]) -> None:
    """Its commands are kept, in their order; one that switches forwarding on makes a router, whatever its name."""
    made = plan(
        """
        self.addHost("g", cls=Gateway, ip="10.1.0.1/24", lan="10.1.0.0/24")
        for number in (1, 2):
            self.addLink(self.addHost(f"h{number}"), "g", params2={"ip": f"10.{number}.0.1/24"})
        """,
        """
        class Gateway(Node):
            def config(self, lan=None, **params):
                result = super().config(**params)
                self.cmd("sysctl", "-w net.ipv4.ip_forward=1")
                self.cmd(f"ip route add {lan} dev", self.defaultIntf())
                return result
            def terminate(self):
                self.cmd("sysctl net.ipv4.ip_forward=0")
                super().terminate()
        """,
    )

    assert made.nodes["g"].kind == "router"
    assert made.nodes["g"].commands == ["sysctl -w net.ipv4.ip_forward=1", "ip route add 10.1.0.0/24 dev g-eth0"]


def test_a_class_that_needs_a_running_node(plan: Callable[..., NetworkPlan]) -> None:
    """It is refused by its name."""
    with pytest.raises(UsageError, match=r"h1 cls: 'Own' is not supported .*ValueError"):
        plan("self.addHost('h1', cls=Own)", "class Own(Node):\n    def config(self, **p): int(self.cmd('nproc'))\n")


def test_default_routes(plan: Callable[[str], NetworkPlan]) -> None:
    """By a gateway, or by an interface, with or without the word dev."""
    made = plan(
        """
        self.addLink(self.addHost("h1", defaultRoute="via 10.0.0.2"), self.addHost("h2", defaultRoute="dev h2-eth0"))
        self.addLink(self.addHost("h3", defaultRoute="h3-eth0"), self.addHost("h4", inNamespace=True))
        """
    )

    assert made.nodes["h1"].routes == [("0.0.0.0", 0, "10.0.0.2")]  # noqa: S104 -- a destination
    assert made.nodes["h2"].commands == ["ip -4 route replace default dev h2-eth0"]
    assert made.nodes["h3"].commands == ["ip -4 route replace default dev h3-eth0"]


def test_a_ring_with_the_spanning_tree_protocol(plan: Callable[[str], NetworkPlan]) -> None:
    """The link that is farthest from the first switch is blocked; the others are used as they are."""
    made = plan(
        """
        for number in (1, 2, 3, 4):
            self.addLink(self.addHost(f"h{number}"), self.addSwitch(f"s{number}", stp=True))
        for one, other in ((1, 2), (2, 3), (3, 4), (4, 1), (1, 2)):
            self.addLink(f"s{one}", f"s{other}")
        """
    )

    assert made.blocked == {"s3-eth3", "s4-eth2", "s1-eth4", "s2-eth4"}
    assert [port.name for port in made.path("h3", "h4")] == ["h3-eth0", "s3-eth2", "s2-eth2", "s1-eth3", "s4-eth1"]
    for entries in made.forwarding().values():
        assert len({mac for _, mac in entries}) == len(entries) == 4


@pytest.mark.parametrize(
    ("links", "loop"),
    [
        ([(1, 2), (2, 3), (3, 1)], "s1, s2, s3"),
        ([(1, 2), (2, 3), (3, 4), (4, 2)], "s2, s3, s4"),
        ([(1, 2), (1, 2)], "s1, s2"),
        ([(1, 1)], "s1"),
    ],
)
def test_a_loop_is_named(plan: Callable[[str], NetworkPlan], links: list[tuple[int, int]], loop: str) -> None:
    """Only the switches that form it, and each once."""
    lines = [f"self.addLink('s{one}', 's{other}')" for one, other in links]
    with pytest.raises(UsageError, match=r"(?s)topology: '(?P<loop>[^']*)'.*stp=True") as caught:
        plan("\n".join(["for n in (1, 2, 3, 4): self.addSwitch(f's{n}')", "self.addHost('h1')", *lines]))

    assert sorted(caught.value.value.split(", ")) == loop.split(", ")  # type: ignore[attr-defined]
