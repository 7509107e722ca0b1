"""Topology files of the shapes that courses use load as they are, are measured, and none of their words is ignored."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import handshake

if TYPE_CHECKING:
    import subprocess

TOPOLOGIES = Path(__file__).parent / "topologies"


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A directory outside of the checkout with the files, like that of a student in a course."""
    return shutil.copytree(TOPOLOGIES, tmp_path / "course")


def run_on(course: Path, name: str, host: str = "h1") -> subprocess.CompletedProcess[str]:
    """Record a program that does nothing on a file's topology."""
    return handshake("record", "--plain", "--topology", f"./{name}.py", "--client", f"{host}=true", cwd=course)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("two_links", "h1"),
        ("runs_itself_and_custom", "h1"),
        ("row", "A"),
        ("linux_router", "h3"),
        ("runs_itself", "h1"),
        ("no_prefix", "h1"),
        ("same_name", "h1"),
        ("own_arguments", "h1"),
    ],
)
def test_loads(course: Path, name: str, host: str) -> None:
    """The file is given as it is, by a relative path; its hosts have the names that it gives them."""
    done = run_on(course, name, host)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("two_links", ["h1-h2", "h1>h2", "h2>h1"]),
        ("runs_itself", ["h1-h2", "h1>h2", "h2>h1"]),
        ("runs_itself_and_custom", ["h1-h2", "h1>h2", "h2>h1"]),
        ("no_prefix", ["h1-h2", "h1>h2", "h2>h1"]),
        ("same_name", ["h1-h2", "h1>h2", "h2>h1"]),
        ("row", ["A-B", "A>B", "B>A"]),  # its other hosts have no route to each other, in Mininet neither
        ("linux_router", ["h1-h2", "h1>h2", "h2>h1", "h2-h3", "h2>h3", "h3>h2"]),
        ("own_arguments", ["h1-h2", "h1>h2", "h2>h1"]),
    ],
)
def test_check_measures(course: Path, name: str, paths: list[str]) -> None:
    """`topology check` accepts any file, and measures the impairments that the file requests on each path."""
    done = handshake("topology", "check", f"./{name}.py", "--json", cwd=course)

    assert done.returncode in (0, 1), done.stderr
    findings = [finding for finding in json.loads(done.stdout)["measurements"] if finding["path"] in paths]
    assert [finding for finding in findings if not finding["right"]] == []
    assert {finding["path"] for finding in findings} == set(paths)


@pytest.mark.parametrize("word", ["enable_ecn", "enable_red"])
@pytest.mark.parametrize("verb", [["record", "--client", "h1=true"], ["topology", "check"]])
def test_queues_that_mark_are_refused(course: Path, word: str, verb: list[str]) -> None:
    """A link that drops instead of marking is another link: the word, its link and the way out are named."""
    other = {"enable_ecn": "enable_red", "enable_red": "enable_ecn"}[word]
    file = course / "marks.py"
    file.write_text(file.read_text().replace(f", {other}=True", ""))
    words = ["./marks.py"] if verb[0] == "topology" else ["--topology", "./marks.py"]
    done = handshake(*verb, *words, cwd=course)

    assert done.returncode == 2, done.stdout
    assert f"s1 {word}" in done.stderr
    assert "handshake run" in done.stderr


def test_a_ring_is_named(course: Path) -> None:
    """Switches in a loop: those that form it are named."""
    done = run_on(course, "ring")

    assert set(re.findall(r"\bs\d", done.stderr)) == {"s1", "s2", "s3"}


STP_RING = """
from mininet.topo import Topo
class Ring(Topo):
    def build(self):
        for number in (1, 2, 3):
            self.addLink(self.addHost(f"h{number}"), self.addSwitch(f"s{number}", stp=True), delay="1ms")
        for one, other in ((1, 2), (2, 3), (3, 1)):
            self.addLink(f"s{one}", f"s{other}")
"""
OWN_ROUTER = """
from mininet.node import Node
from mininet.topo import Topo
class Gateway(Node):
    def config(self, **params):
        super().config(**params)
        self.cmd("sysctl -w net.ipv4.ip_forward=1")
        self.cmd("ip route add 10.9.0.0/16 dev", self.defaultIntf())
class Lab(Topo):
    def build(self):
        gateway = self.addHost("g", cls=Gateway, ip=None)
        for number in (1, 2):
            host = self.addHost(f"h{number}", ip=f"10.0.{number}.2/24", defaultRoute=f"via 10.0.{number}.1")
            self.addLink(host, gateway, delay="2ms", params2={"ip": f"10.0.{number}.1/24"})
"""


def measured(directory: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Measure the topology of a file with this text."""
    (directory / "own.py").write_text(text)
    return handshake("topology", "check", "own.py", "--probes", "200", "--json", cwd=directory)


@pytest.mark.parametrize(("text", "paths"), [(STP_RING, 6), (OWN_ROUTER, 3)])
def test_packets_cross(tmp_path: Path, text: str, paths: int) -> None:
    """A ring with the Spanning Tree Protocol, and a router by a class of the file: everybody is reached, once."""
    done = measured(tmp_path, text)

    assert done.returncode == 0, done.stderr + done.stdout
    findings = json.loads(done.stdout)["measurements"]
    assert len({finding["path"] for finding in findings}) == paths


def test_a_file_in_a_directory_that_is_private_to_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Directly in /tmp, of which a kernel shows nothing: it is shown all the same, from any directory."""
    with tempfile.NamedTemporaryFile("w", suffix=".py", prefix="lab,", dir="/tmp") as file:
        file.write((TOPOLOGIES / "no_prefix.py").read_text())
        file.flush()
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        checked = handshake("topology", "check", file.name, "--probes", "100", cwd=elsewhere)
        recorded = handshake("record", "--plain", "--topology", file.name, "--client", "h1=true", cwd=elsewhere)

    assert checked.returncode == 0, checked.stderr
    assert recorded.returncode == 0, recorded.stderr


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("table inet f { chain c { type filter hook forward priority 0; tcp dprot 80 drop; } }", "is rejected by nft"),
        ("table inet f { chain c { tcp dport 80 jump nowhere; } }", "is rejected by nft"),
        ("table inet f {\n  chain c {\n    iifname eth9 drpo\n  }\n}\n", "'iifname eth9 drpo' is rejected by nft"),
    ],
)
def test_a_mistake_in_the_packet_filter(tmp_path: Path, rules: str, reason: str) -> None:
    """It is the topology's, not the machine's: exit status 2, with the line."""
    line = f'        self.addHost("r", router=True, ip=None, nft={rules!r})\n'
    done = measured(tmp_path, OWN_ROUTER.replace("cls=Gateway, ", "router=True, ") + line)

    assert done.returncode == 2
    assert "r nft:" in done.stderr
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("command", "reason"),
    [("sysctl net.ipv4.no_such=1", "has no net.ipv4.no_such"), ("ip route add nonsense", "failed with exit status")],
)
def test_a_command_of_a_class_that_fails(tmp_path: Path, command: str, reason: str) -> None:
    """Mininet would continue silently, and the run would not have the settings of the file."""
    done = measured(tmp_path, OWN_ROUTER.replace("sysctl -w net.ipv4.ip_forward=1", command))

    assert done.returncode in (2, 3)
    assert reason in done.stderr
