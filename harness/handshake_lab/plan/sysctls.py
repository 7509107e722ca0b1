"""Kernel settings of hosts and routers: ``net.ipv4.tcp_fin_timeout=5`` for all, ``h2:...`` for one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.plan.network_plan import NetworkPlan

_EXAMPLE = "h2:net.ipv4.tcp_fin_timeout"
#: Names separated by dots or slashes. "." and ".." are not names, so that no path leads out of /proc/sys.
_NAME = re.compile(r"net(?:[./][A-Za-z0-9_-]+)+")


def sysctl_settings(plan: NetworkPlan, wanted: Mapping[str, str | int]) -> dict[str, dict[str, str]]:
    """Assign settings to nodes.

    Returns:
        For each host and router: the path below /proc/sys, and the value.

    Raises:
        UsageError: A name is not a sysctl of network namespaces, or the network does not have the node.
    """
    found: dict[str, dict[str, str]] = {n: {} for n, node in plan.nodes.items() if node.kind != "switch"}
    for key, value in wanted.items():
        node, colon, name = key.rpartition(":")
        if not _NAME.fullmatch(name):
            raise UsageError("sysctl", key, "is not a setting of a network namespace (net.…)", _EXAMPLE)
        if colon and node not in found:
            raise UsageError(
                "sysctl", key, f"is for a node that does not exist; there are {', '.join(found)}", _EXAMPLE
            )
        for target in [node] if colon else found:
            found[target][name.replace(".", "/")] = str(value)
    return found
