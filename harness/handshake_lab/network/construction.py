"""Creates the planned network: namespaces, bridges, veth pairs, addresses.

The *middle* is everything between the hosts: the namespace of the switches, and those of the routers.
One thread creates everything in three passes (namespaces, the middle, each host). It sends many
requests in one message, and requests no information that it can know beforehand.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from handshake_lab.errors import EnvironmentUnsupported, KernelRefused
from handshake_lab.linux import netns, nftables
from handshake_lab.linux.ethtool import offloads_off
from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.plan.from_topo import MESH
from handshake_lab.plan.sysctls import set_sysctl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from handshake_lab.linux.netlink.connection import Request
    from handshake_lab.plan.from_topo import NetworkPlan, NodePlan

#: The name of the namespace that contains all switches.
MIDDLE = "middle"

#: Buckets of a namespace's own connection table. It is small because a dump of a host's sockets
#: walks the whole table, and the machine's table has hundreds of thousands of buckets.
_EHASH = 512
#: The limit of sockets in TIME-WAIT: that of a machine with 16 GB. The default is half of the
#: table's buckets (net/ipv4/tcp_ipv4.c, tcp_set_hashinfo); sockets beyond it go directly to CLOSED.
_TIME_WAITS = 131072

_RESOLVER = "/etc/resolv.conf"

_LINKS = 1  # RTMGRP_LINK
#: Seconds to wait for a link to come up; the kernel needs at most one.
_LINK_TIMEOUT = 10.0


class Namespaces:
    """The namespaces of one network: a descriptor per host and router, one for all switches."""

    def __init__(self) -> None:
        self.descriptors: dict[str, int] = {}
        self._mounts: list[str] = []
        self._files: list[str] = []

    def make(self, names: list[str], *, named: bool) -> None:
        """Create the switches' namespace, and one for each name.

        Args:
            names: The hosts and routers.
            named: Whether to give each a name under /run/netns, for ``ip netns exec``.

        Raises:
            EnvironmentUnsupported: It is not permitted here.
        """
        before = netns.here()
        try:
            self._make(MIDDLE, named=named)
            # A namespace takes the size of its table from the namespace in which it is created.
            netns.sysctl("net/ipv4/tcp_child_ehash_entries", _EHASH, optional=True)
            for name in names:
                netns.setns(self.descriptors[MIDDLE])
                self._make(name, named=named)
                netns.sysctl("net/ipv4/tcp_max_tw_buckets", _TIME_WAITS)
        except PermissionError as error:
            raise EnvironmentUnsupported(
                "Creating network namespaces is not permitted here",
                "Use --kernel lab, which needs no privilege; or run it in namespaces of its own: "
                "unshare --user --map-root-user --net --mount",
            ) from error
        finally:
            netns.setns(before)
            os.close(before)

    def _make(self, name: str, *, named: bool) -> None:
        self.descriptors[name] = netns.create()
        if os.path.exists("/proc/sys/net/ipv6/conf/default/addr_gen_mode"):  # noqa: PTH110 -- hot
            # No link-local addresses, hence no multicast frames; addresses are usable at once.
            netns.sysctl("net/ipv6/conf/default/addr_gen_mode", 1)
            netns.sysctl("net/ipv6/conf/default/accept_ra", 0)
        if named:
            directory = Path("/run/netns")
            directory.mkdir(exist_ok=True)
            target = directory / name
            target.touch()
            netns.bind("/proc/thread-self/ns/net", str(target))
            self._mounts.append(str(target))

    def name_hosts(self, lines: list[str]) -> None:
        """Make the hosts' names available to every program, in a private /etc/hosts.

        The machine's name servers cannot be reached, and a program that queries them, such as a server
        that looks up its own name, would wait for seconds. With a resolv.conf without name servers it
        queries 127.0.0.1 (resolv.conf(5)), where no socket listens: the query fails at once.
        """
        self._cover("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" + "".join(line + "\n" for line in lines))
        # A symbolic link into /run may be broken here; a missing file names no server either.
        if os.path.exists(_RESOLVER):  # noqa: PTH110 -- hot
            self._cover(os.path.realpath(_RESOLVER), "# no name server can be reached\n")

    def _cover(self, target: str, content: str) -> None:
        """Show different contents of a file to all programs."""
        path = Path(f"/run/handshake-{Path(target).name}-{os.getpid()}")
        path.write_text(content)
        self._files.append(str(path))
        netns.bind(str(path), target)
        self._mounts.append(target)

    def close(self) -> None:
        """Close all descriptors; namespaces without other references then disappear."""
        with contextlib.ExitStack() as stack:
            for descriptor in self.descriptors.values():
                stack.callback(os.close, descriptor)
            for file in self._files:
                stack.callback(os.unlink, file)
            for target in self._mounts:
                if target.startswith("/run/netns/"):
                    stack.callback(os.unlink, target)
                stack.callback(netns.unbind, target)
        self.descriptors, self._mounts, self._files = {}, [], []


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
                _equip(node, neighbours, sysctls.get(name, {}))


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


def _equip(node: NodePlan, neighbours: dict[str, list[tuple[str, str]]], sysctls: Mapping[str, str]) -> None:
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
            netns.sysctl("net/ipv4/ip_forward", 1)
            netns.sysctl("net/ipv6/conf/all/forwarding", 1, optional=True)
        for path, value in sysctls.items():
            set_sysctl(node.name, path, value)
        for port in node.ports:
            offloads_off(netlink.socket, port.name)
    if node.rules:
        nftables.run_here(node.rules)
