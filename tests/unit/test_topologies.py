"""The topologies: all can be planned, all are documented, and stock Mininet can load each file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from handshake_lab.plan.from_topo import from_topo
from handshake_lab.plan.load_topology import MODULES, load_topology

FOLDER = Path(__file__).parents[2] / "topologies"


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("ipv6", [False, True])
def test_a_topology_can_be_planned(name: str, ipv6: bool) -> None:
    """Each has at least two hosts with addresses and something in the middle."""
    if ipv6 and name == "nat":
        pytest.skip("addresses are translated for IPv4 only")
    plan = from_topo(load_topology(f"{name},ipv6=true" if ipv6 else name))
    hosts = [node for node in plan.nodes.values() if node.kind == "host"]

    assert len(hosts) >= 2
    assert all(host.addresses for host in hosts)
    assert all(":" in host.addresses[0] for host in hosts) == ipv6
    assert len(plan.edge_ports()) == len(hosts)


@pytest.mark.parametrize("name", MODULES)
def test_stock_mininet_takes_the_file_alone(name: str) -> None:
    """``mn --custom`` runs the file by itself: it may need nothing of this project."""
    program = (
        "import runpy, sys\n"
        f"topos = runpy.run_path({str(FOLDER / (MODULES[name] + '.py'))!r})['topos']\n"
        f"topo = topos[{name!r}](delay='5ms', loss=1)\n"
        "assert topo.hosts() and topo.links(withInfo=True)\n"
        "assert not [module for module in sys.modules if module.startswith('handshake_lab')]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("module", sorted(set(MODULES.values())))
def test_a_topology_draws_itself(module: str) -> None:
    """The module's docstring contains a drawing and the command for stock Mininet."""
    text = (FOLDER / f"{module}.py").read_text()

    assert "─" in text.partition('"""\n\nfrom')[0]
    assert f"mn --custom topologies/{module}.py" in text


@pytest.mark.parametrize(
    ("text", "hosts"), [("star,5", 5), ("star,n=7", 7), ("dumbbell,2,3", 5), ("chain,n=6", 2), ("star,500", 500)]
)
def test_parameters_are_taken_as_mn_takes_them(text: str, hosts: int) -> None:
    """By position or by name."""
    plan = from_topo(load_topology(text))

    assert hosts == sum(node.kind == "host" for node in plan.nodes.values())
    assert all(len(node.ports) <= 500 for node in plan.nodes.values())
