"""Replacements of parts of Mininet whose programs are not installed, or that have no effect in a lab kernel.

Mininet's default switch needs Open vSwitch and an OpenFlow controller. If the programs are not installed, the classes
are replaced by Mininet's Linux bridge, before they are imported by name: a script may also derive classes from them.
"""

from __future__ import annotations

import functools
import os
import re
import select
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: The classes of Mininet that need Open vSwitch or the reference switch, with the programs that they run.
_SWITCHES = {"OVSSwitch": "ovs-vsctl", "UserSwitch": "ofdatapath", "IVSSwitch": "ivs-ctl"}
#: Names by which Mininet also calls OVSSwitch.
_ALIASES = ("OVSKernelSwitch", "OVSBridge")
#: The programs of controllers that make learning switches.
_REFERENCE = ("controller", "ovs-controller", "test-controller", "ovs-testcontroller")
#: Programs that scripts use, with the Debian packages that contain them.
_PACKAGES = {
    "arp": "net-tools",
    "brctl": "bridge-utils",
    "curl": "curl",
    "dhclient": "isc-dhcp-client",
    "dhcpd": "isc-dhcp-server",
    "dig": "dnsutils",
    "dnsmasq": "dnsmasq-base",
    "ethtool": "ethtool",
    "ifconfig": "net-tools",
    "iperf": "iperf",
    "iperf3": "iperf3",
    "ip": "iproute2",
    "iptables": "iptables",
    "killall": "psmisc",
    "lighttpd": "lighttpd",
    "nc": "netcat-openbsd",
    "netcat": "netcat-openbsd",
    "netperf": "netperf",
    "netstat": "net-tools",
    "nginx": "nginx",
    "ping": "iputils-ping",
    "ping6": "iputils-ping",
    "pkill": "procps",
    "route": "net-tools",
    "socat": "socat",
    "sshd": "openssh-server",
    "ss": "iproute2",
    "tc": "iproute2",
    "tcpdump": "tcpdump",
    "telnet": "telnet",
    "traceroute": "traceroute",
    "tshark": "tshark",
    "udhcpc": "udhcpc",
    "udhcpd": "udhcpd",
    "vconfig": "vlan",
    "wget": "wget",
    "ovs-vsctl": "openvswitch-switch",
    "ovs-ofctl": "openvswitch-switch",
}
#: Seconds without output after which an iperf that printed a result is considered finished.
_SILENCE = 5.0
#: The first words of the commands in a line of a shell.
_FIRST_WORDS = re.compile(r"(?:^|[;&|(])\s*(?:(?:sudo|nohup|exec|time)\s+)*([\w./+-]+)")


def install(say: Callable[[str], None]) -> None:
    """Install all replacements.

    Args:
        say: Prints a sentence, once.
    """
    _switches(say)
    _controllers(say)
    _cpu_limits(say)
    _missing_programs(say)
    _iperf(say)
    _input()


@functools.cache
def _open_vswitch_runs() -> bool:
    """Whether the database of Open vSwitch answers."""
    if shutil.which("ovs-vsctl") is None:
        return False
    return subprocess.run(["ovs-vsctl", "-t", "1", "show"], capture_output=True, check=False).returncode == 0


def _switches(say: Callable[[str], None]) -> None:
    from mininet import node, nodelib  # noqa: PLC0415

    for name, program in _SWITCHES.items():
        missing = not _open_vswitch_runs() if name == "OVSSwitch" else shutil.which(program) is None
        if missing and hasattr(node, name):
            bridge = _bridge(nodelib.LinuxBridge, name, say)
            setattr(node, name, bridge)
            if name == "OVSSwitch":
                for alias in _ALIASES:
                    setattr(node, alias, bridge)
    if _open_vswitch_runs():
        _learning_switches(node)


def _learning_switches(node: Any) -> None:
    """Have switches of Open vSwitch learn by themselves, as with the reference controller, unless another is named."""
    make, start = node.OVSSwitch.__init__, node.OVSSwitch.start

    def init(self: Any, name: str, failMode: str = "standalone", **options: Any) -> None:  # noqa: N803
        make(self, name, failMode=failMode, **options)

    def start_without_reference(self: Any, controllers: Any) -> None:
        start(self, [each for each in controllers if not _is_reference(each)])

    node.OVSSwitch.__init__, node.OVSSwitch.start = init, start_without_reference


def _is_reference(controller: Any) -> bool:
    """Whether a controller is one that makes learning switches, and nothing else."""
    from mininet import node  # noqa: PLC0415

    return getattr(controller, "command", "") in _REFERENCE and not isinstance(controller, node.RemoteController)


def _bridge(linux_bridge: Any, name: str, say: Callable[[str], None]) -> Any:
    """A class with the name and the options of a switch, that is a Linux bridge."""
    missing = "Open vSwitch" if name == "OVSSwitch" else name

    def init(self: Any, switch: str, *_: Any, stp: bool = False, **options: Any) -> None:
        say(f"{missing} is not installed: Linux bridges replace {name}; OpenFlow controllers have no effect on them")
        kept = ("dpid", "opts", "listenPort", "inNamespace", "prio", "ip", "mac")
        linux_bridge.__init__(self, switch, stp=stp, **{key: options[key] for key in kept if key in options})

    def attach(self: Any, interface: Any) -> None:
        self.cmd("brctl addif", self, interface)
        interface.ifconfig("up")

    def detach(self: Any, interface: Any) -> None:
        self.cmd("brctl delif", self, interface)

    def no_openflow(self: Any, *words: Any, **_: Any) -> str:
        say(f"{self.name}: {' '.join(map(str, words))} has no effect on a Linux bridge")
        return ""

    parts = {
        "__init__": init,
        "__doc__": f"A Linux bridge that replaces {name}.",
        "attach": attach,
        "detach": detach,
        "dpctl": no_openflow,
        "vsctl": no_openflow,
        "isOldOVS": classmethod(lambda _: False),
    }
    return type(name, (linux_bridge,), parts)


def _controllers(say: Callable[[str], None]) -> None:
    """Start no reference controller: the switches learn by themselves, and need none."""
    from mininet import node  # noqa: PLC0415

    node.DefaultController = node.NullController
    start = node.Controller.start

    def start_if_needed(self: Any) -> None:
        if _is_reference(self):
            say(f"{self.name}: the reference controller is not needed; the switches learn by themselves")
        else:
            start(self)

    node.Controller.start = start_if_needed


def _cpu_limits(say: Callable[[str], None]) -> None:
    """Replace hosts with a limited CPU by hosts: limits need cgroups v1, and computing takes no virtual time."""
    from mininet import node  # noqa: PLC0415

    class CPULimitedHost(node.Host):  # type: ignore[misc]  # Mininet has no types
        """A host; limits of its CPU have no effect."""

        def __init__(self, name: str, sched: str = "cfs", **options: Any) -> None:
            say(f"CPU limits have no effect in this run: a {node.CPULimitedHost.__name__} is an ordinary host")
            self.sched = sched
            node.Host.__init__(self, name, **options)

        def config(self, cpu: float = -1, cores: Any = None, **options: Any) -> Any:  # noqa: ARG002
            return node.Host.config(self, **options)

        def setCPUFrac(self, f: float, sched: str | None = None) -> None:  # noqa: N802
            """Without effect."""

        def setCPUs(self, cores: Any, mems: int = 0) -> None:  # noqa: N802
            """Without effect."""

    node.CPULimitedHost = CPULimitedHost


def _missing_programs(say: Callable[[str], None]) -> None:
    """Name the package of each missing program that a command begins with: a shell's message is easily overlooked."""
    from mininet import node  # noqa: PLC0415

    send, popen = node.Node.sendCmd, node.Node.popen

    def check(words: Any) -> None:
        line = " ".join(map(str, words[0] if len(words) == 1 and isinstance(words[0], list | tuple) else words))
        for program in _FIRST_WORDS.findall(line):
            package = _PACKAGES.get(program)
            # Mininet calls ethtool for each interface, but does not depend on it.
            if package and program != "ethtool" and shutil.which(program) is None:
                say(f"{program} is not installed: apt-get install {package}")

    def send_checked(self: Any, *words: Any, **options: Any) -> Any:
        check(words)
        return send(self, *words, **options)

    def popen_checked(self: Any, *words: Any, **options: Any) -> Any:
        check(words)
        return popen(self, *words, **options)

    node.Node.sendCmd, node.Node.popen = send_checked, popen_checked


def _iperf(say: Callable[[str], None]) -> None:
    """Limit the wait of Mininet.iperf() for a line about its probe of the port, which iperf 2.1 does not print."""
    from mininet import net  # noqa: PLC0415

    iperf = net.Mininet.iperf

    def iperf_with_any_release(self: Any, hosts: Any = None, *arguments: Any, **options: Any) -> Any:
        hosts = hosts or [self.hosts[0], self.hosts[-1]]
        server = hosts[1]
        monitor = server.monitor
        printed = ""

        def monitored(*words: Any, **more: Any) -> str:
            nonlocal printed
            # monitor() itself has no timeout: it also polls for writability.
            if "/sec" in printed and not select.select([server.stdout], [], [], _SILENCE)[0]:
                say("iperf prints no line about Mininet's probe of its port; net.iperf() does not wait for it")
                return " /sec\n"  # the text that Mininet counts, without a number
            data: str = monitor(*words, **more)
            printed += data
            return data

        server.monitor = monitored
        try:
            return iperf(self, hosts, *arguments, **options)
        finally:
            del server.monitor

    net.Mininet.iperf = iperf_with_any_release


class _Poll:
    """select.poll() without the script's standard input, which is always readable and must not wake the CLI."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, file: Any, *events: int) -> None:
        """As select.poll's."""
        if file is not sys.stdin:
            self._poll.register(file, *events)

    def poll(self, *timeout: Any) -> list[tuple[int, int]]:
        """As select.poll's."""
        return self._poll.poll(*timeout)


def _input() -> None:
    """Let the CLI read whole lines from standard input, and pass none of the following lines to a running command."""
    from mininet import cli  # noqa: PLC0415

    cli.poll = _Poll
    os.environ.setdefault("SHELL", "/bin/bash")
