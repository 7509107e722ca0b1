"""Load a topology: one of this project by name, or a file by its path."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import UsageError

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
_EXAMPLE = "pair, or star,n=5, or path/to/course.py:mytopo"


def load_topology(text: str) -> MininetTopo:
    """Make a topology from its name or path, with parameters in the syntax of ``mn --topo``.

    Args:
        text: ``pair``; ``star,5`` or ``star,n=5``; ``path/to/file.py`` (with one topology in ``topos``, as for
            ``mn --custom``), ``path/to/file.py:name,param=value``.

    Raises:
        UsageError: The topology does not exist, the file cannot be loaded, or the topology does not have the
            parameters.
    """
    head, *params = text.split(",")
    factory = _from_file(text, head) if ".py" in head else _by_name(text, head)
    positional = [_value(item) for item in params if "=" not in item]
    named = {key.strip(): _value(value) for key, _, value in (item.partition("=") for item in params if "=" in item)}
    try:
        topo = factory(*positional, **named)
    except (TypeError, ValueError) as error:
        raise UsageError("topology", text, f"is rejected by the topology: {error}", _EXAMPLE) from error
    made: MininetTopo = topo
    return made


def _by_name(text: str, name: str) -> Callable[..., Any]:
    if name not in MODULES:
        raise UsageError(
            "topology", text, f"is neither one of {', '.join(MODULES)} nor the path of a .py file", _EXAMPLE
        )
    found: Callable[..., Any] = importlib.import_module(f"handshake_lab.topologies.{MODULES[name]}").topos[name]
    return found


def _from_file(text: str, head: str) -> Callable[..., Any]:
    path_text, _, name = head.partition(":")
    path = Path(path_text)
    if not path.is_file():
        raise UsageError("topology", text, "is a file that does not exist", _EXAMPLE)
    spec = importlib.util.spec_from_file_location(f"handshake_topology_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError("topology", text, "is not a Python file", _EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError("topology", text, f"cannot be loaded ({type(error).__name__}: {error})", _EXAMPLE) from error
    topos: dict[str, Callable[..., Any]] = getattr(module, "topos", {})
    if name in topos:
        return topos[name]
    if not name and len(topos) == 1:
        return next(iter(topos.values()))
    known = ", ".join(topos) or "none: it has no dictionary 'topos', which mn --custom requires too"
    raise UsageError("topology", text, f"does not name one of the topologies in the file ({known})", _EXAMPLE)


def _value(text: str) -> object:
    """Convert numbers, true and false, as ``mn --topo`` does; everything else is a string."""
    text = text.strip()
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)
