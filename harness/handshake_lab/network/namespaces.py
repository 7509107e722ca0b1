"""The network namespaces of hosts, routers and switches, and the names under which programs find them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.linux import hostname, netns
from handshake_lab.linux.sysctl import set_sysctl
from handshake_lab.plan.network_plan import MIDDLE

#: Buckets of a namespace's own connection table. It is small because a dump of a host's sockets
#: walks the whole table, and the machine's table has hundreds of thousands of buckets.
_EHASH = 512
#: The limit of sockets in TIME-WAIT: that of a machine with 16 GB. The default is half of the
#: table's buckets (net/ipv4/tcp_ipv4.c, tcp_set_hashinfo); sockets beyond it go directly to CLOSED.
_TIME_WAITS = 131072

#: Where ``ip netns exec`` looks for names.
_NAMES = "/run/netns"
_HOSTS = "/etc/hosts"
_RESOLVER = "/etc/resolv.conf"


class Namespaces:
    """The namespaces of one network: a descriptor per host and router, one for all switches.

    Attributes:
        descriptors: Of network namespaces, by node.
        hostnames: Of UTS namespaces, by host and router: programs in each find its name as the host name.
    """

    def __init__(self) -> None:
        self.descriptors: dict[str, int] = {}
        self.hostnames: dict[str, int] = {}
        self._names: list[str] = []
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
            set_sysctl("net/ipv4/tcp_child_ehash_entries", _EHASH, optional=True)
            for name in names:
                netns.setns(self.descriptors[MIDDLE])
                self._make(name, named=named)
                self.hostnames[name] = hostname.create(name)
                set_sysctl("net/ipv4/tcp_max_tw_buckets", _TIME_WAITS)
        except PermissionError as error:
            raise EnvironmentUnsupported(
                "Creating network namespaces is not permitted here",
                "Use --kernel lab, which needs no privilege; or run it in new namespaces: "
                "unshare --user --map-root-user --net --mount",
            ) from error
        finally:
            netns.setns(before)
            os.close(before)

    def _make(self, name: str, *, named: bool) -> None:
        self.descriptors[name] = netns.create()
        if os.path.exists("/proc/sys/net/ipv6/conf/default/addr_gen_mode"):  # noqa: PTH110 -- hot
            # No link-local addresses, hence no multicast frames; addresses are usable at once.
            set_sysctl("net/ipv6/conf/default/addr_gen_mode", 1)
            set_sysctl("net/ipv6/conf/default/accept_ra", 0)
        if named:
            netns.give_name(f"{_NAMES}/{name}")
            self._names.append(f"{_NAMES}/{name}")

    def name_hosts(self, lines: list[str]) -> None:
        """Make the hosts' names available to every program, in a private /etc/hosts.

        The machine's name servers cannot be reached, and a program that queries them, such as a server
        that looks up its own name, would wait for seconds. With a resolv.conf without name servers it
        queries 127.0.0.1 (resolv.conf(5)), where no socket listens: the query fails at once.

        Raises:
            EnvironmentUnsupported: The machine has no /etc/hosts that could be covered.
        """
        if not os.path.exists(_HOSTS):  # noqa: PTH110 -- hot
            raise EnvironmentUnsupported(
                "This machine has no /etc/hosts, which makes the hosts' names known to programs",
                "Create an empty one: sudo touch /etc/hosts",
            )
        self._cover(_HOSTS, "127.0.0.1 localhost\n::1 localhost\n" + "".join(line + "\n" for line in lines))
        # The file may be a symbolic link to a missing file in /run; a missing file has the same effect as an empty one.
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
            for descriptor in (*self.descriptors.values(), *self.hostnames.values()):
                stack.callback(os.close, descriptor)
            for file in self._files:
                stack.callback(os.unlink, file)
            for target in self._names:
                stack.callback(netns.remove_name, target)
            for target in self._mounts:
                stack.callback(netns.unbind, target)
        self.descriptors, self.hostnames, self._names, self._mounts, self._files = {}, {}, [], [], []
