"""Creates the planned network: namespaces, bridges, veth pairs, addresses.

The *middle* is everything between the hosts: the namespace of the switches, and those of the routers.
One thread creates everything in three passes (namespaces, the middle, each host). It sends many
requests in one message, and never requests information that the plan already determines.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from typing import TYPE_CHECKING, Self

from handshake_lab.errors import EnvironmentUnsupported, KernelRefused, UsageError
from handshake_lab.linux import netns, nftables
from handshake_lab.linux.ethtool import offloads_off
from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.linux.sysctl import set_and_verify, set_sysctl
from handshake_lab.plan.network_plan import MESH, MIDDLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from handshake_lab.linux.netlink.connection import Request
    from handshake_lab.network.namespaces import Namespaces
    from handshake_lab.plan.network_plan import NetworkPlan, NodePlan

#: A command that sets one sysctl, which needs no program.
_SYSCTL = re.compile(r"sysctl(?:\s+-[qw]+)*\s+[\"']?(?P<name>net[./][\w./-]+)\s*=\s*(?P<value>\S+?)[\"']?")
_LINKS = 1  # RTMGRP_LINK
#: Seconds to wait for a link to come up; the kernel needs at most one.
_LINK_TIMEOUT = 10.0


def build(plan: NetworkPlan, spaces: Namespaces, sysctls: Mapping[str, Mapping[str, str]]) -> None:
    """Create the planned network in existing namespaces.

    Args:
        plan: The network.
        spaces: The namespaces.
        sysctls: For each host or router: values by their paths.

    Raises:
        NetlinkError: The kernel refused a request.
    """
    with contextlib.ExitStack() as stack:
        news = {name: stack.enter_context(_LinkEvents(spaces.descriptors[name])) for name in _spaces_between(plan)}
        _make(plan, spaces, sysctls)
        for name, wanted in _spaces_between(plan).items():
            news[name].wait_until_ready(name, wanted)
    if plan.blocked:
        # Not before: the kernel switches a port on when its link comes up (net/bridge/br_if.c, br_port_carrier_check).
        with netns.inside(spaces.descriptors[MIDDLE]), Netlink() as middle:
            middle.ask(_blocked(plan))


def _spaces_between(plan: NetworkPlan) -> dict[str, set[int]]:
    """The interfaces to wait for, by namespace: all except those of hosts.

    A host's interface comes up after the other end of its link, and can be used at once.
    """
    found: dict[str, set[int]] = {}
    for name, node in plan.nodes.items():
        if node.kind != "host" and node.ports:
            found.setdefault(MIDDLE if node.kind == "switch" else name, set()).update(p.index for p in node.ports)
    return found


class _LinkEvents:
    """Notifications about the interfaces of a namespace."""

    def __init__(self, space: int) -> None:
        with netns.inside(space):
            self._listening = Netlink(groups=_LINKS)
            self._asking = Netlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        self._asking.close()

    def wait_until_ready(self, name: str, wanted: set[int]) -> None:
        """Wait until interfaces can transmit frames.

        Raises:
            KernelRefused: An interface has not come up in time.
        """
        while waiting := links.not_ready(self._asking, wanted):
            if not self._listening.changed(_LINK_TIMEOUT):
                raise KernelRefused(f"{name}: {len(waiting)} interfaces have not come up in {_LINK_TIMEOUT:.0f} s")


def _make(plan: NetworkPlan, spaces: Namespaces, sysctls: Mapping[str, Mapping[str, str]]) -> None:
    with netns.inside(spaces.descriptors[MIDDLE]), Netlink() as middle:
        middle.ask(_bridges(plan))
        middle.ask(_veths(plan, spaces))
        middle.ask(_forwarding(plan))
        for node in plan.nodes.values():
            if node.kind == "switch":
                for port in node.ports:
                    offloads_off(middle.socket, port.name)
    neighbours = _neighbours(plan)
    for name, node in plan.nodes.items():
        if node.kind != "switch":
            with netns.inside(spaces.descriptors[name]):
                _set_up(node, neighbours, sysctls.get(name, {}))


def _bridges(plan: NetworkPlan) -> Iterator[Request]:
    for name, node in plan.nodes.items():
        if node.kind == "switch":
            yield links.bridge(name, node.index)


def _veths(plan: NetworkPlan, spaces: Namespaces) -> Iterator[Request]:
    middle = spaces.descriptors[MIDDLE]
    for first, second in plan.links:
        ends = []
        for port in (first, second):
            node = plan.nodes[port.node]
            switch = node.kind == "switch"
            ends.append(
                links.LinkEnd(
                    port.name,
                    port.index,
                    port.mac,
                    middle if switch else spaces.descriptors[node.name],
                    node.index if switch else 0,
                )
            )
        yield from links.veth(*ends)


def _forwarding(plan: NetworkPlan) -> Iterator[Request]:
    for entries in plan.forwarding().values():
        for port, mac in entries:
            yield links.forward(port.index, mac)


def _blocked(plan: NetworkPlan) -> Iterator[Request]:
    for name, node in plan.nodes.items():
        for port in node.ports:
            if port.name in plan.blocked:
                yield links.port_state(port.index, links.DISABLED, f"{port.name} of {name}")


def _neighbours(plan: NetworkPlan) -> dict[str, list[tuple[str, str]]]:
    """For each port of a host or router: the addresses it can reach directly, and their hardware addresses.

    A port with too many neighbours is omitted; it uses ARP.
    """
    ports = {port.name: port for ends in plan.links for port in ends}
    found: dict[str, list[tuple[str, str]]] = {}
    for domain in plan.domains():
        everyone = [
            (name, address.partition("/")[0], ports[name].mac) for name in domain for address in ports[name].addresses
        ]
        if len(domain) <= MESH:
            for name in domain:
                found[name] = [(ip, mac) for other, ip, mac in everyone if other != name]
    return found


def _set_up(node: NodePlan, neighbours: dict[str, list[tuple[str, str]]], sysctls: Mapping[str, str]) -> None:
    """Set addresses, routes, neighbours and offloads of the host or router in whose namespace the thread is."""
    requests = [links.switch_on("lo")]
    for port in node.ports:
        # If every neighbour is known, ARP is not needed.
        requests.append(links.switch_on(port.name, quiet=port.name in neighbours))
        for address in port.addresses:
            ip, _, prefix = address.partition("/")
            requests.append(links.address(port.index, ip, int(prefix), port.name))
    for destination, prefix_length, via in node.routes:
        requests.append(links.route(destination, prefix_length, via, node.name))
    for port in node.ports:
        requests += [links.neighbour(port.index, ip, mac) for ip, mac in neighbours.get(port.name, ())]
    with Netlink() as netlink:
        netlink.ask(requests)
        if node.kind == "router":
            # After its interfaces have been made quiet: a router joins multicast groups on other interfaces.
            set_sysctl("net/ipv4/ip_forward", 1)
            set_sysctl("net/ipv6/conf/all/forwarding", 1, optional=True)
        for path, value in sysctls.items():
            set_and_verify(node.name, path, value)
        for port in node.ports:
            offloads_off(netlink.socket, port.name)
    if node.rules:
        _filter(node)
    for command in node.commands:
        _configure(node.name, command)


def _filter(node: NodePlan) -> None:
    """Load the packet filter of a router's topology.

    Raises:
        UsageError: nft rejects it.
    """
    reason = nftables.load(node.rules)
    if "Operation not supported" in reason:
        raise EnvironmentUnsupported(
            f"{node.name}: this kernel does not support the rules of the topology's packet filter ({reason})",
            "--kernel lab supports all of nf_tables.",
        )
    if reason:
        raise UsageError(
            f"{node.name} nft",
            nftables.line_of(node.rules, reason),
            f"is rejected by nft: {reason}",
            "table inet filter { chain forward { type filter hook forward priority 0; tcp dport 80 accept; }; }",
        )


def _configure(name: str, command: str) -> None:
    """Run a shell command by which the class of a node configures it, in whose namespace the thread is.

    Raises:
        UsageError: It failed.
        EnvironmentUnsupported: It sets a sysctl that this kernel does not have.
    """
    if setting := _SYSCTL.fullmatch(command.strip()):
        set_and_verify(name, setting["name"].replace(".", "/"), setting["value"])
        return
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        status = subprocess.run(
            ["sh", "-c", command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False
        ).returncode
        output.seek(0)
        last = output.read().strip().splitlines()[-1:]
    if status:
        said = f" ({last[0]})" if last else ""
        raise UsageError(
            f"{name} config", command, f"failed with exit status {status}{said}", "sysctl -w net.ipv4.ip_forward=1"
        )
