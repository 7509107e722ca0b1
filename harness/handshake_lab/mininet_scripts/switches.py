"""Switches and controllers for scripts that name none, or those of Open vSwitch where it is not installed.

Mininet's default switch needs Open vSwitch, and an OpenFlow controller. Where the programs are missing, Mininet's
Linux bridge takes the place of the classes, before anything imports them by name: a script may also derive from them.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The classes of Mininet that need Open vSwitch or the reference switch, with the programs that they run.
_SWITCHES = {"OVSSwitch": "ovs-vsctl", "UserSwitch": "ofdatapath", "IVSSwitch": "ivs-ctl"}
#: Names by which Mininet also calls OVSSwitch.
_ALIASES = ("OVSKernelSwitch", "OVSBridge")


def stand_in(say: Callable[[str], None]) -> None:
    """Have Linux bridges stand in for switches whose programs are missing, and nobody for a default controller.

    Args:
        say: Prints a sentence, once.
    """
    from mininet import node, nodelib  # noqa: PLC0415

    for name, program in _SWITCHES.items():
        if shutil.which(program) is None and hasattr(node, name):
            bridge = _bridge(nodelib.LinuxBridge, name, say)
            setattr(node, name, bridge)
            if name == "OVSSwitch":
                for alias in _ALIASES:
                    setattr(node, alias, bridge)
    found = node.findController

    def default_controller(name: str, controllers: Any = node.DefaultControllers, **options: Any) -> Any:
        """The first controller that is installed; none if there is none."""
        controller = found(controllers)
        return controller(name, **options) if controller else None

    node.DefaultController = default_controller


def _bridge(linux_bridge: Any, name: str, say: Callable[[str], None]) -> Any:
    """A class with the name and the options of a switch, that is a Linux bridge."""

    def init(self: Any, switch: str, *_: Any, stp: bool = False, **options: Any) -> None:
        say(f"Open vSwitch is not installed: Linux bridges take the place of {name}")
        known = {key: options[key] for key in ("dpid", "listenPort", "inNamespace", "prio") if key in options}
        linux_bridge.__init__(self, switch, stp=stp, **known)

    return type(name, (linux_bridge,), {"__init__": init, "__doc__": f"A Linux bridge in the place of {name}."})
