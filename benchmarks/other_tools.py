"""Does ten tasks with this project, with tc and namespaces by hand, and with stock Mininet, side by side.

    python benchmarks/other_tools.py                    this project: the lab kernel, as an ordinary user
    python benchmarks/other_tools.py --tool tc          by hand; as root, in private namespaces, in real time
    python benchmarks/other_tools.py --tool mininet     stock Mininet with Linux bridges; likewise

Each task is done twice. Its row has the wall time of the first time, set-up included, and what the two have in common:
the record to the byte; or, in captures, the times to a millisecond, the segments in their order, or nothing. Tasks of
more than 30 s of real time are done once. On a kernel without netem, there is no delay, and its tasks are left out.
docs/comparison.md has the tables; packetdrill and toxiproxy are not run: neither Debian nor PyPI has them.
"""

# ruff: noqa: INP001, PLC0415, T201 -- a script, which prints, and imports Mininet where it is used
from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = """
import socket
with socket.create_server(("", 80)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    connection.recv(17); connection.sendall(b"y" * 15)
    while connection.recv(65536): pass
    connection.close()
"""
CLIENT = """
import socket
connection = socket.create_connection(("10.0.0.2", 80))
connection.sendall(b"x" * 17); connection.recv(15)
connection.shutdown(socket.SHUT_WR)
while connection.recv(65536): pass
connection.close()
"""
#: A megabyte, from the server to the client.
SENDER = """
import socket
with socket.create_server(("", 80)) as listener:
    print("ready", flush=True)
    connection, _ = listener.accept()
    connection.sendall(bytes(1_000_000)); connection.close()
"""
RECEIVER = """
import socket
connection = socket.create_connection(("10.0.0.2", 80))
connection.recv(65536)
print("begun", flush=True)
while connection.recv(65536): pass
"""
#: What tcpdump would print of a host's interface: time, direction, flags and length of each segment. After SIGTERM it
#: continues until none has come for 0.3 s.
CAPTURE = """
import signal, socket, sys, time
def drain(*_): raise InterruptedError
signal.signal(signal.SIGTERM, drain)
sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
print("ready", flush=True)
while True:
    try:
        packet, (_, _, kind, *_) = sniffer.recvfrom(65536)
    except InterruptedError:
        sniffer.settimeout(0.3)
        continue
    except TimeoutError:
        break
    if packet[9] == 6:
        header = (packet[0] & 15) * 4
        length = int.from_bytes(packet[2:4], "big") - header - (packet[header + 12] >> 4) * 4
        print(time.monotonic(), kind, packet[header + 13], length, flush=True)
"""
#: The project's own way of each task: the arguments of `handshake`, or a test for pytest.
OURS: dict[str, list[str] | str] = {
    "1 exchange, states of both ends": ["demo"],
    "2 10 % random loss": ["demo", "--loss", "10%", "--seed", "7"],
    "3 lose the SYN-ACK": ["demo", "--fault", "drop SYN-ACK nth=1"],
    "4 lose the last ACK": ["demo", "--fault", "drop ACK nth=last from h1"],
    "5 TIME-WAIT to its end": ["demo"],
    "6 SYN without an answer": ["record", "--fault", "drop SYN", "--client", f"{sys.executable} client.py"],
    "7 cut the link for 30 s": [
        "record",
        "--link",
        "delay=50ms",
        "--at",
        "300ms",
        "cut h1-s1 for 30s",
        "--server",
        f"{sys.executable} sender.py",
        "--client",
        f"{sys.executable} receiver.py",
    ],
    "8 a RST inside the window": ["demo", "--fault", "inject RST to h1 seq=+100 on DATA nth=1"],
    "9 a megabyte at 10 Mbit/s": [
        "record",
        "--link",
        "delay=50ms,rate=10mbit",
        "--server",
        f"{sys.executable} sender.py",
        "--client",
        f"{sys.executable} receiver.py",
    ],
    "10 a gap, answered with SACK": "docs/coming-from/packetdrill.md",
}


def handshake(task: str, out: Path) -> bytes:
    """Do a task with this project; return its record."""
    way = OURS[task]
    for name, text in (("client.py", CLIENT), ("sender.py", SENDER), ("receiver.py", RECEIVER)):
        (out / name).write_text(text)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    if isinstance(way, str):
        page = (Path(__file__).parents[1] / way).read_text("utf-8")
        (out / "test_it.py").write_text(page.partition("```python\n")[2].partition("```")[0])
        words = ["pytest", "-q", "--handshake-artifacts", "runs", "test_it.py"]
    else:
        words = ["handshake", *way, "--out", "runs/it"]
    done = subprocess.run(words, cwd=out, env={**os.environ, "PATH": path}, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{words}: {done.stderr.decode()}")
    (record,) = out.glob("runs/*/events.jsonl")
    return record.read_bytes()


def has_netem() -> bool:
    """Whether this machine's kernel has netem, and so can delay and lose packets."""
    words = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"]
    found = subprocess.run(words, capture_output=True, check=False).returncode == 0
    if found:
        subprocess.run(["tc", "qdisc", "delete", "dev", "lo", "root"], check=True)
    return found


class Namespaces:
    """Two hosts, 50 ms apart, with ip and tc: their namespaces are visible in this process's /run only."""

    def __init__(self) -> None:
        """Build them."""
        for host in ("h1", "h2"):
            self._do("ip", "netns", "add", host)
        self._do(
            "ip", "link", "add", "h1-eth0", "netns", "h1", "type", "veth", "peer", "name", "h2-eth0", "netns", "h2"
        )
        for number, host in enumerate(("h1", "h2"), 1):
            self.run(host, "ip", "address", "add", f"10.0.0.{number}/8", "dev", f"{host}-eth0")
            self.run(host, "ip", "link", "set", f"{host}-eth0", "up")
            self.run(host, "ethtool", "-K", f"{host}-eth0", "tso", "off", "gso", "off", "gro", "off", optional=True)
        if has_netem():
            self.netem("delay", "50ms")

    def _do(self, *words: str, optional: bool = False) -> None:
        try:
            subprocess.run(words, check=not optional, capture_output=True)
        except FileNotFoundError:
            if not optional:
                raise

    def run(self, host: str, *words: str, optional: bool = False) -> None:
        """Run a program in a host to its end."""
        self._do("ip", "netns", "exec", host, *words, optional=optional)

    def start(self, host: str, program: str) -> subprocess.Popen[str]:
        """Start a program in Python in a host."""
        words = ["ip", "netns", "exec", host, sys.executable, "-c", program]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def netem(self, *properties: str) -> None:
        """Impair both directions."""
        for host in ("h1", "h2"):
            self.run(host, "tc", "qdisc", "replace", "dev", f"{host}-eth0", "root", "netem", *properties)

    def close(self) -> None:
        """Remove them."""
        for host in ("h1", "h2"):
            self._do("ip", "netns", "delete", host)


class StockMininet(Namespaces):
    """Two hosts at a Linux bridge, as a script for Mininet builds them."""

    def __init__(self) -> None:
        """Build them."""
        from mininet.link import TCLink
        from mininet.log import setLogLevel
        from mininet.net import Mininet
        from mininet.nodelib import LinuxBridge
        from mininet.topo import Topo

        class Pair(Topo):
            def build(self) -> None:
                switch = self.addSwitch("s1")
                for host in ("h1", "h2"):
                    # Mininet impairs both ends of a link: a packet is delayed twice on its way.
                    self.addLink(self.addHost(host), switch, delay="25ms")

        setLogLevel("critical")
        self.net: Any = Mininet(topo=Pair(), switch=LinuxBridge, controller=None, link=TCLink)
        self.net.start()

    def run(self, host: str, *words: str, optional: bool = False) -> None:
        """Run a program in a host to its end."""
        done = self.net.get(host).popen(list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = done.communicate()[0]
        if done.returncode and not optional:
            raise SystemExit(f"{words}: {output.decode()}")

    def start(self, host: str, program: str) -> subprocess.Popen[str]:
        """Start a program in Python in a host."""
        started: subprocess.Popen[str] = self.net.get(host).popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return started

    def netem(self, *properties: str) -> None:
        """Impair both directions: half of it at the hosts, half at the switch, as the class of links does."""
        option = dict(zip(properties[::2], properties[1::2], strict=True))
        wanted: dict[str, Any] = {"delay": "25ms"}
        if "loss" in option:
            wanted["loss"] = float(option["loss"].rstrip("%")) / 2
        if "rate" in option:
            wanted["bw"] = float(option["rate"].removesuffix("mbit"))
        for link in self.net.links:
            for end in (link.intf1, link.intf2):
                end.config(**wanted)

    def close(self) -> None:
        """Remove them."""
        self.net.stop()


def drop(hosts: Namespaces, host: str, match: str, which: str = "") -> None:
    """Have a host drop segments that reach it."""
    hosts.run(
        host,
        "nft",
        "add table ip it; add chain ip it in { type filter hook input priority 0; };"
        f" add rule ip it in {match} {which} drop",
    )


def line_of(program: subprocess.Popen[str]) -> None:
    """Wait until it has printed a line."""
    if program.stdout is None or not program.stdout.readline():
        raise SystemExit(f"{program.args!r} ended")


def exchange(
    hosts: Namespaces,
    server: str = SERVER,
    client: str = CLIENT,
    meanwhile: Callable[[subprocess.Popen[str]], None] | None = None,
) -> None:
    """Run the two programs to their end."""
    with hosts.start("h2", server) as serving:
        line_of(serving)
        with hosts.start("h1", client) as asking:
            if meanwhile:
                meanwhile(asking)
            asking.wait()
        serving.terminate()


def until_gone(hosts: Namespaces) -> None:
    """Wait until no socket is left in TIME-WAIT."""
    looking = (
        "import subprocess, time\n"
        "while b':80' in subprocess.run(['ss', '-Htan', 'state', 'time-wait'], capture_output=True).stdout:\n"
        "    time.sleep(0.1)\n"
    )
    for host in ("h1", "h2"):
        hosts.start(host, looking).wait()


def cut(hosts: Namespaces, receiver: subprocess.Popen[str]) -> None:
    """Take the link away for 30 s, after the transfer has begun: the receiver is stopped, so that it is not over."""
    line_of(receiver)
    receiver.send_signal(signal.SIGSTOP)
    hosts.run("h1", "ip", "link", "set", "h1-eth0", "down")
    receiver.send_signal(signal.SIGCONT)
    time.sleep(30)  # what the task asks for
    hosts.run("h1", "ip", "link", "set", "h1-eth0", "up")


def by_hand(task: str, kind: type[Namespaces]) -> bytes:
    """Do a task in real time; return what the capture at h1 has."""
    hosts = kind()
    try:
        with hosts.start("h1", CAPTURE) as capture:
            line_of(capture)
            match task.split(maxsplit=1)[0]:
                case "1":
                    exchange(hosts)
                case "2":
                    hosts.netem("delay", "50ms", "loss", "10%")
                    exchange(hosts)
                case "3":
                    drop(hosts, "h1", "tcp flags & (syn|ack) == syn|ack", "numgen inc mod 1000 == 0")
                    exchange(hosts)
                case "4":
                    # The third ACK without data that the other one gets: counted beforehand, in a capture.
                    drop(hosts, "h2", "tcp flags == ack ip length 52", "numgen inc mod 1000 == 2")
                    exchange(hosts)
                case "5":
                    exchange(hosts)
                    until_gone(hosts)
                case "6":
                    drop(hosts, "h2", "tcp flags syn")
                    exchange(hosts)
                case "7":
                    exchange(hosts, SENDER, RECEIVER, lambda receiver: cut(hosts, receiver))
                case "9":
                    hosts.netem("delay", "50ms", "rate", "10mbit")
                    exchange(hosts, SENDER, RECEIVER)
            capture.terminate()
            return capture.communicate()[0].encode()
    finally:
        with contextlib.suppress(Exception):
            hosts.close()


def alike(first: bytes, second: bytes) -> str:
    """What two captures have in common."""
    one, two = ([line.split() for line in text.decode().splitlines()] for text in (first, second))
    if [line[1:] for line in one] != [line[1:] for line in two]:
        return "no"
    starts = [float(lines[0][0]) for lines in (one, two)]
    apart = max(abs((float(a[0]) - starts[0]) - (float(b[0]) - starts[1])) for a, b in zip(one, two, strict=True))
    return "times to 1 ms" if apart < 0.001 else f"segments; times differ by up to {apart * 1000:.0f} ms"


def main() -> None:
    """Do the tasks; print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tool", choices=["handshake", "tc", "mininet"], default="handshake")
    parser.add_argument("--task", action="append", help="only the tasks with these numbers")
    arguments = parser.parse_args()
    if arguments.tool != "handshake" and "OTHER_TOOLS_INSIDE" not in os.environ:
        # Mininet removes files in /tmp and ends processes by name: only those of these namespaces.
        mounts = (
            "mount -t tmpfs none /run && mkdir -p /run/netns && mount -t tmpfs none /tmp && mount -t sysfs none /sys"
        )
        words = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--uts", "--ipc", "sh", "-c"]
        environment = {**os.environ, "OTHER_TOOLS_INSIDE": "1"}
        os.execvpe("unshare", [*words, f'{mounts} && exec "$@"', "sh", sys.executable, *sys.argv], environment)  # noqa: S606 -- it becomes that program
    print(f"| task | {arguments.tool}: wall time | two runs have in common |\n|---|---|---|")
    for task in OURS:
        number = task.split(maxsplit=1)[0]
        if arguments.task and number not in arguments.task:
            continue
        if arguments.tool != "handshake" and number in ("2", "9") and not has_netem():
            print(f"| {task} | not here: this machine's kernel has no netem | |", flush=True)
            continue
        if arguments.tool != "handshake" and number in ("8", "10"):
            print(f"| {task} | needs a program of one's own | |", flush=True)
            continue
        results, taken = [], []
        for _ in range(1 if arguments.tool != "handshake" and number in ("5", "6", "7") else 2):
            with tempfile.TemporaryDirectory() as name:
                began = time.perf_counter()
                if arguments.tool == "handshake":
                    results.append(handshake(task, Path(name)))
                else:
                    results.append(by_hand(task, {"tc": Namespaces, "mininet": StockMininet}[arguments.tool]))
                taken.append(time.perf_counter() - began)
        same = "(once)"
        if len(results) == 2:
            same = "all, to the byte" if results[0] == results[1] else alike(*results)
        print(f"| {task} | {taken[0]:.1f} s | {same} |", flush=True)


if __name__ == "__main__":
    main()
