"""Classes of hosts and switches that a topology's file defines, and their effect on the node.

A class such as Mininet's example LinuxRouter configures its node in ``config()`` with shell commands. ``config()`` is
called with a substitute for the node, which stores the commands; they are run when the node exists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EXAMPLE = "a class whose config() calls self.cmd(…)"
_FORWARDING = re.compile(r"ip_forward\s*=\s*1|echo\s+[\"']?1[\"']?\s*>\s*/proc/sys/net/ipv4/ip_forward")
#: The command of Mininet's own Node.config(), which is not needed: the loopback interface is already up.
_LOOPBACK = "ifconfig lo up"
#: Methods other than config() in which a class can change its node.
_METHODS = ("__init__", "start", "configDefault", "defaultIntf", "setIP", "popen", "cmd", "startShell")
#: Methods of Mininet's nodes that change nothing.
_SILENT = ("setParam", "setIP", "setMAC", "setDefaultRoute", "setHostRoute", "setARP", "mountPrivateDirs", "addIntf")


class _Interface:
    """An interface of the substitute: its name, which is also its string form, and its address."""

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.ip = address.partition("/")[0]

    def __str__(self) -> str:
        return self.name

    def IP(self) -> str:  # noqa: N802 -- Mininet's
        return self.ip


def is_own(made_by: object) -> bool:
    """Whether a class is defined in the topology's file, not in Mininet."""
    return isinstance(made_by, type) and not made_by.__module__.startswith("mininet.")


def does_more(made_by: type) -> str:
    """The method of a class in the topology's file that is not supported; empty if there is none."""
    own = [each for each in made_by.__mro__ if is_own(each) and each is not object]
    return next((name for name in _METHODS for each in own if name in vars(each)), "")


def config_commands(name: str, info: Mapping[str, Any], interfaces: Sequence[tuple[str, str]]) -> list[str]:
    """The shell commands with which a node's class configures it; none for a class of Mininet.

    Args:
        name: The node.
        info: Its parameters in the topology.
        interfaces: The names and addresses of its interfaces, by number.

    Raises:
        UsageError: config() failed, because it needs more of a node than running commands.
    """
    made_by = info.get("cls")
    if not isinstance(made_by, type) or not is_own(made_by) or not hasattr(made_by, "config"):
        return []
    commands: list[str] = []

    def cmd(*words: object, **_: object) -> str:
        line = words[0] if len(words) == 1 else words
        text = line if isinstance(line, str) else " ".join(map(str, line))  # type: ignore[call-overload]
        if text != _LOOPBACK:
            commands.append(text)
        return ""

    node: Any = object.__new__(made_by)
    params = {key: value for key, value in info.items() if key not in ("cls", "isSwitch")}
    known = {number: _Interface(*each) for number, each in enumerate(interfaces)}
    vars(node).update(
        dict.fromkeys(_SILENT, lambda *_, **__: None),
        name=name,
        params=params,
        intfs=known,
        ports={each: number for number, each in known.items()},
        nameToIntf={each.name: each for each in known.values()},
        inNamespace=True,
        waiting=False,
        pid=None,
        shell=None,
        cmd=cmd,
        cmdPrint=cmd,
        sendCmd=cmd,
        waitOutput=lambda *_, **__: "",
        pexec=lambda *words, **_: (cmd(*words), "", 0),
    )
    try:
        node.config(**params)
    except Exception as error:
        raise UsageError(
            f"{name} cls", made_by.__name__, f"is not supported ({type(error).__name__}: {error})", _EXAMPLE
        ) from error
    return commands


def forwards(commands: Sequence[str]) -> bool:
    """Whether one of the commands enables forwarding."""
    return any(_FORWARDING.search(command) for command in commands)
