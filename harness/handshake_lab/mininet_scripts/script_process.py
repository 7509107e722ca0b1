"""The first code of a script's process: reports what Mininet does to the recorder, then runs the script.

Mininet itself is not modified. Each wrapper calls the method that it wraps, and waits for the recorder's answer.

Run as ``python -P script_process.py SCRIPT ARGUMENTS``, by the interpreter that is to run the script; it uses only the
standard library and modules of this package.
"""

from __future__ import annotations

import functools
import os
import runpy
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The options of Mininet's TCIntf that impair a link, and those that change how these are applied.
_IMPAIRMENTS = ("bw", "delay", "jitter", "loss", "max_queue_size")
_MODIFIERS = ("speedup", "enable_ecn", "enable_red")


def _wrap(owner: Any, name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a method by ``wrapper``, which is called with the method, its object and its arguments."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(self: Any, *arguments: Any, **options: Any) -> Any:
        return wrapper(original, self, *arguments, **options)

    setattr(owner, name, wrapped)


class Reports:
    """Reports hosts, links, commands and networks as the script makes them.

    Args:
        channel: The connection to the recorder.
    """

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._running: list[Any] = []  # networks that were started
        self._depth = 0  # of nested commands: one method of Mininet may call another

    def install(self) -> None:
        """Wrap the methods of Mininet that are reported."""
        from mininet.link import TCIntf  # noqa: PLC0415  after `stand_ins` has replaced the classes of switches
        from mininet.net import Mininet  # noqa: PLC0415
        from mininet.node import Controller, Node, Switch  # noqa: PLC0415

        self._not_hosts = (Switch, Controller)
        _wrap(Node, "startShell", self._shell)
        _wrap(Node, "addIntf", self._interface)
        _wrap(Node, "cmd", self._command)
        _wrap(Node, "popen", self._program)
        _wrap(TCIntf, "config", self._configured)
        _wrap(Mininet, "start", self._start)
        _wrap(Mininet, "stop", self._stop)

    def _is_host(self, node: Any) -> bool:
        return not isinstance(node, self._not_hosts)

    def _shell(self, original: Callable[..., None], node: Any, *arguments: Any, **options: Any) -> None:
        original(node, *arguments, **options)
        if self._is_host(node):
            self._channel.ask({"about": "node", "name": node.name, "process": _process(node)})

    def _interface(self, original: Callable[..., None], node: Any, interface: Any, *rest: Any, **options: Any) -> None:
        if self._is_host(node) and not node.inNamespace:
            self._channel.ask({"about": "interface", "node": node.name, "name": interface.name})
        original(node, interface, *rest, **options)

    def _configured(self, original: Callable[..., Any], interface: Any, *arguments: Any, **options: Any) -> Any:
        result = original(interface, *arguments, **options)
        asked = dict(zip(("bw", "delay", "jitter", "loss"), arguments, strict=False)) | options
        asked = {name: asked[name] for name in (*_IMPAIRMENTS, *_MODIFIERS) if asked.get(name) not in (None, False)}
        if any(name in asked for name in _IMPAIRMENTS):
            if asked.get("speedup", 0) > 0 and interface.node.name.startswith("s"):
                asked["bw"] = asked["speedup"]
            asked.pop("speedup", None)
            said = [text for text in (result or {}).get("tcoutputs", ()) if text]
            place = {"interface": interface.name, "process": _process(interface.node)}
            self._channel.ask({"about": "link", **place, "asked": asked, "said": said})
        self._report_links(interface.link)
        return result

    def _report_links(self, *links: Any) -> None:
        """Report the current state of links of started networks; other networks' links are reported when they start."""
        directions = []
        for link in links:
            ends: tuple[Any, Any] = (getattr(link, "intf1", None), getattr(link, "intf2", None))
            if any(link in net.links for net in self._running) and all(getattr(end, "node", None) for end in ends):
                for one, other in (ends, ends[::-1]):
                    place = {"interface": one.name, "process": _process(one.node)}
                    directions.append({"node": one.node.name, "peer": other.node.name, **place})
        for first in range(0, len(directions), 100):
            self._channel.ask({"about": "links", "links": directions[first : first + 100]})

    def _command(self, original: Callable[..., Any], node: Any, *arguments: Any, **options: Any) -> Any:
        return self._step(node, " ".join(map(str, arguments)), original, arguments, options)

    def _program(self, original: Callable[..., Any], node: Any, *arguments: Any, **options: Any) -> Any:
        words = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments
        return self._step(node, " ".join(map(str, words)), original, arguments, options)

    def _step(
        self, node: Any, call: str, original: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        """Report a command of a host, except those with which Mininet sets up the network."""
        if self._depth or not self._running or not self._is_host(node):
            return original(node, *arguments, **options)
        step = {"about": "step", "node": node.name, "call": call}
        self._depth += 1
        self._channel.ask({**step, "phase": "begins"})
        try:
            return original(node, *arguments, **options)
        finally:
            self._depth -= 1
            self._channel.ask({**step, "phase": "ends"})

    def _start(self, original: Callable[..., Any], net: Any, *arguments: Any, **options: Any) -> Any:
        result = original(net, *arguments, **options)
        self._running.append(net)
        self._report_links(*net.links)
        return result

    def _stop(self, original: Callable[..., Any], net: Any, *arguments: Any, **options: Any) -> Any:
        self._channel.ask({"about": "stop", "nodes": [host.name for host in net.hosts]})
        self._running = [each for each in self._running if each is not net]
        return original(net, *arguments, **options)


def _process(node: Any) -> int:
    """The process in whose network namespace a node is; 0 for the root namespace."""
    return int(node.pid) if node.inNamespace else 0


def main() -> None:
    """Run the script that the command line names."""
    # The script's interpreter may differ from this package's.
    root = str(Path(__file__).parents[2])
    sys.path.insert(0, root)
    from handshake_lab.mininet_scripts import stand_ins  # noqa: PLC0415
    from handshake_lab.mininet_scripts.channel import VARIABLE, Channel  # noqa: PLC0415
    from handshake_lab.mininet_scripts.script_input import ScriptInput  # noqa: PLC0415

    sys.path.remove(root)
    descriptor = int(os.environ.pop(VARIABLE))
    os.set_inheritable(descriptor, False)
    channel = Channel(socket.socket(fileno=descriptor))
    sys.stdin = ScriptInput(channel)
    stand_ins.install(channel.say)
    Reports(channel).install()
    script = sys.argv[1]
    sys.argv[:] = sys.argv[1:]
    sys.path.insert(0, str(Path(script).parent))
    try:
        runpy.run_path(script, run_name="__main__")
    except Exception as error:  # noqa: BLE001  printed as Python prints it, without the frames before the script's
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__, "<frozen runpy>"):
            trace = trace.tb_next
        traceback.print_exception(type(error), error, trace or error.__traceback__)
        sys.exit(1)


if __name__ == "__main__":
    main()
