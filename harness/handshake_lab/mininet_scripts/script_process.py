"""The first code of a script's process: reports what Mininet does to the recorder, then runs the script.

Mininet itself is the stock one. What is wrapped here calls what it wraps; the door's answers are waited for.

Run as ``python -P script_process.py SCRIPT ARGUMENTS``, by whichever interpreter is to run the script; it uses only the
standard library, and imports its neighbours by their place.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import runpy
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def _neighbour(name: str) -> ModuleType:
    """A module beside this file; its package is not importable in every interpreter."""
    spec = importlib.util.spec_from_file_location(f"_handshake_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _after(owner: Any, name: str, then: Callable[..., None]) -> None:
    """Have a method call ``then`` with its object when it has done its work."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        result = original(self, *arguments, **options)
        then(self)
        return result

    setattr(owner, name, wrapped)


def _before(owner: Any, name: str, first: Callable[..., None]) -> None:
    """Have a method call ``first`` with its object before it begins."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        first(self)
        return original(self, *arguments, **options)

    setattr(owner, name, wrapped)


def report_nodes(door: Any) -> None:
    """Report each host when its shell runs, and each network before it is taken down."""
    from mininet.net import Mininet  # noqa: PLC0415  the classes that switches are made of come first
    from mininet.node import Controller, Node, Switch  # noqa: PLC0415

    def started(node: Any) -> None:
        if node.inNamespace and not isinstance(node, Switch | Controller):
            door.ask({"about": "node", "name": node.name, "process": node.pid})

    def stopping(net: Any) -> None:
        door.ask({"about": "stop", "nodes": [host.name for host in net.hosts]})

    _after(Node, "startShell", started)
    _after(Mininet, "start", lambda _: door.ask({"about": "sync"}))
    _before(Mininet, "stop", stopping)


def main() -> None:
    """Run the script that the command line names."""
    neighbour = _neighbour("door")
    descriptor = int(os.environ.pop(neighbour.VARIABLE))
    os.set_inheritable(descriptor, False)
    door = neighbour.Door(socket.socket(fileno=descriptor))
    _neighbour("switches").stand_in(door.say)
    report_nodes(door)
    script = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
