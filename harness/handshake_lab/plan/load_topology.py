"""Load a topology: one of this project by name, or a file by its path."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import UsageError
from handshake_lab.plan.topology_file import EXAMPLE, as_script, factory, parameters, split_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.plan.from_topo import MininetTopo

#: The topologies in topologies/, the simplest first, each with its module.
MODULES = {
    "pair": "pair",
    "star": "star",
    "chain": "chain",
    "dumbbell": "dumbbell",
    "routed": "routed",
    "firewall": "routed",
    "nat": "routed",
}


def load_topology(text: str) -> MininetTopo:
    """Make a topology from its name or path, with parameters in the syntax of ``mn --topo``.

    Args:
        text: ``pair``; ``star,5`` or ``star,n=5``; ``path/to/file.py``, which has one topology in ``topos``, as for
            ``mn --custom``, or one class derived from Topo; ``path/to/file.py:name,param=value``.

    Raises:
        UsageError: The topology does not exist, the file cannot be loaded, or the topology does not have the
            parameters.
    """
    file = split_file(text)
    if file is None:
        name, _, params = text.partition(",")
        return _made(_by_name(text, name), text, params)
    made_by = factory(Path(file.path), file.name, text)
    with as_script(Path(file.path), text):
        return _made(made_by, text, file.params)


def topology_directory(text: str) -> Path | None:
    """The directory of a topology's file, which a kernel has to see; None if it is one of this project's."""
    file = split_file(text)
    return Path(file.path).resolve().parent if file else None


def absolute_topology(text: str) -> str:
    """The same topology, found from any directory."""
    file = split_file(text)
    return f"{Path(file.path).resolve()}{text.removeprefix(file.path)}" if file else text


def _made(made_by: Callable[..., Any], text: str, params: str) -> MininetTopo:
    items = params.split(",") if params else []
    positional = [_value(item) for item in items if "=" not in item]
    named = {key.strip(): _value(value) for key, _, value in (item.partition("=") for item in items if "=" in item)}
    try:
        topo = made_by(*positional, **named)
    except (TypeError, ValueError) as error:
        takes = parameters(made_by)
        reason = f"is rejected by the topology: {error}" + (f" (its parameters: {takes})" if takes else "")
        raise UsageError("topology", text, reason, EXAMPLE) from error
    if not all(hasattr(topo, name) for name in ("nodes", "links", "nodeInfo", "isSwitch")):
        raise UsageError("topology", text, f"makes a {type(topo).__name__}, which is not a Topo", EXAMPLE)
    made: MininetTopo = topo
    return made


def _by_name(text: str, name: str) -> Callable[..., Any]:
    if name not in MODULES:
        raise UsageError(
            "topology", text, f"is neither one of {', '.join(MODULES)} nor the path of a .py file", EXAMPLE
        )
    found: Callable[..., Any] = importlib.import_module(f"handshake_lab.topologies.{MODULES[name]}").topos[name]
    return found


def _value(text: str) -> object:
    """Convert numbers, true and false, as ``mn --topo`` does; everything else is a string."""
    text = text.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
