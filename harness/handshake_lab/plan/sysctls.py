"""Kernel settings of hosts and routers: ``net.ipv4.tcp_fin_timeout=5`` for all, ``h2:...`` for one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handshake_lab.plan.from_topo import NetworkPlan

_EXAMPLE = "h2:net.ipv4.tcp_fin_timeout"
#: Letters, digits and the marks that sysctls have; each step a name, so no way up and out.
_NAME = re.compile(r"net(?:[./][A-Za-z0-9_-]+)+")


def sysctl_settings(plan: NetworkPlan, wanted: Mapping[str, str | int]) -> dict[str, dict[str, str]]:
    """Sort settings by the node that they are for.

    Returns:
        For each host and router: path below /proc/sys, and value.

    Raises:
        UsageError: A name that is not a network namespace's sysctl, or of no node.
    """
    found: dict[str, dict[str, str]] = {n: {} for n, node in plan.nodes.items() if node.kind != "switch"}
    for key, value in wanted.items():
        node, colon, name = key.rpartition(":")
        if not _NAME.fullmatch(name):
            raise UsageError("sysctl", key, "is not a setting of a network namespace (net.…)", _EXAMPLE)
        if colon and node not in found:
            raise UsageError("sysctl", key, f"is for none of {', '.join(found)}", _EXAMPLE)
        for target in [node] if colon else found:
            found[target][name.replace(".", "/")] = str(value)
    return found


def set_sysctl(node: str, path: str, value: str) -> None:
    """Set one in the calling thread's namespace, and make sure of it.

    Raises:
        EnvironmentUnsupported: This kernel has no such setting, or not that value.
    """
    file = Path("/proc/sys", path)
    try:
        file.write_text(value)
        now = file.read_text().split()
    except OSError as error:
        raise EnvironmentUnsupported(
            f"{node}: {path.replace('/', '.')} cannot be set to {value} ({error.strerror})",
            "Look with 'sysctl -a' which settings this kernel has in a network namespace.",
        ) from error
    if now != value.split():
        raise EnvironmentUnsupported(
            f"{node}: {path} was set to {value} but is {' '.join(now)}", "Choose another value."
        )
