"""Jobs for the tests of networks: they run inside a kernel, and write their results.

Each takes an argument of JSON's types and returns one; `job` does the rest.
"""

from __future__ import annotations

import contextlib
import functools
import json
import select
import socket
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import HandshakeError, NetlinkError
from handshake_lab.linux import packet_socket
from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.network.measure import expected
from handshake_lab.network.measure import measure as measured
from handshake_lab.network.network import Network
from handshake_lab.plan.load_topology import load_topology
from handshake_lab.recording.observations import FaultReport
from handshake_lab.tcp.segment import decode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_SO_TIMESTAMPNS = 35


def job(function: Callable[[Any], Any]) -> Callable[[Any, Path], None]:
    """Write the return value of a function to ``found.json``."""

    @functools.wraps(function)
    def wrapper(argument: Any, results: Path) -> None:
        (results / "found.json").write_text(json.dumps(function(argument)))

    return wrapper


def tc(net: Network, node: str, device: str) -> dict[str, Any]:
    """The queue of an interface according to ``tc``, which is independent of this project."""
    done = net.nodes[node].run(["tc", "-j", "qdisc", "show", "dev", device, "root"])
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


@job
def refused(places: Any) -> Any:
    """For each place among 600 requests, the error if the one there cannot be met; and how many interfaces came up."""
    found = []
    for place in places:
        requests = [links.device("dummy", f"d{place}-{number}") for number in range(600)]
        requests[place] = links.switch_on("nosuch")
        with Netlink() as netlink:
            try:
                netlink.ask(requests)
            except NetlinkError as error:
                made = sum(name.startswith(f"d{place}-") for name in links.indexes(netlink))
                found.append([error.what, error.errno, made])
    return found


@job
def link_fields(texts: Any) -> Any:
    """Set each impairment on a new pair; return the output of tc."""
    found = {}
    for text in texts:
        with Network(load_topology("pair"), link=text) as net:
            found[text] = [tc(net, "s1", "s1-eth1"), tc(net, "s1", "s1-eth2")]
    return found


@job
def one_way(texts: Any) -> Any:
    """Measure, for each impairment, how long single datagrams take from h1 to h2: nanoseconds."""
    found = {}
    for text in texts:
        with Network(load_topology("pair"), link=text) as net:
            receiver, sender = net.h2.socket(kind=socket.SOCK_DGRAM), net.h1.socket(kind=socket.SOCK_DGRAM)
            receiver.bind((net.h2.ip, 9))
            times = []
            for _ in range(20):
                began = time.monotonic_ns()
                sender.sendto(b"x" * 100, (net.h2.ip, 9))
                receiver.recv(200)
                times.append(time.monotonic_ns() - began)
            found[text] = times
    return found


@job
def throughput(texts: Any) -> Any:
    """Measure, for each impairment, the rate of frames that were sent without pauses: bits per second."""
    found = {}
    for text in texts:
        with Network(load_topology("pair"), link=text) as net:
            receiver, sender = net.h2.socket(kind=socket.SOCK_DGRAM), net.h1.socket(kind=socket.SOCK_DGRAM)
            receiver.bind((net.h2.ip, 9))
            for _ in range(100):
                sender.sendto(b"x" * 1400, (net.h2.ip, 9))
            times = []
            for _ in range(100):
                receiver.recv(2000)
                times.append(time.monotonic_ns())
            found[text] = 99 * (1400 + 42) * 8 * 1e9 / (times[-1] - times[0])
    return found


@job
def lost_of(argument: Any) -> Any:
    """How many of this number of datagrams do not arrive, in each direction."""
    text, count = argument
    lost = []
    with Network(load_topology("pair"), link=text) as net:
        for one, other in ((net.h1, net.h2), (net.h2, net.h1)):
            receiver, sender = other.socket(kind=socket.SOCK_DGRAM), one.socket(kind=socket.SOCK_DGRAM)
            receiver.bind((other.ip, 9))
            arrived = 0
            for _ in range(count // 100):
                for _ in range(100):
                    sender.sendto(b"x", (other.ip, 9))
                while select.select([receiver], [], [], 0.2)[0]:
                    receiver.recv(100)
                    arrived += 1
            lost.append(count - arrived)
    return lost


@job
def check(argument: Any) -> Any:
    """The result of ``handshake topology check`` for each topology and its links."""
    found = []
    for topology, settings in argument:
        with Network(load_topology(topology), link=settings) as net:
            one, other = [host.name for host in net.hosts][:2]
            assert expected(net.plan, net.impairments, one, other)
            found.append([[f.path, f.what, f.asked, f.measured, f.right] for f in measured(net, one, other, 1000)])
    return found


class Tap:
    """Captures at every host, with the kernel's time stamps."""

    def __init__(self, net: Network) -> None:
        self.sockets: dict[str, socket.socket] = {}
        for host in net.hosts:
            sock = packet_socket.receiver(host.space, [port.index for port in host.ports], size=2000)
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self.sockets[host.name] = sock

    def rows(self) -> list[list[Any]]:
        """Every segment: time in ns, host, sent or received, flags, seq, ack, length, whether its checksum is right."""
        found = []
        for name, sock in self.sockets.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    frame, extra, _, address = sock.recvmsg(2000, 200)
                    seconds, nanoseconds = struct.unpack("qq", extra[0][2])
                    segment = decode(frame)
                    assert segment is not None
                    flags = segment.flags.replace("P", "")
                    way = "sent" if address[2] == packet_socket.OUTGOING else "received"
                    moment = seconds * 10**9 + nanoseconds
                    right = _sound(frame)
                    found.append([moment, name, way, flags, segment.seq, segment.ack, segment.length, right])
        return sorted(found, key=lambda row: row[0])


def _sound(frame: bytes) -> bool:
    """Whether an IPv4 frame's TCP checksum is right."""
    length = struct.unpack_from("!H", frame, 16)[0]
    tcp = frame[34 : 14 + length]
    data = frame[26:34] + struct.pack("!HH", 6, len(tcp)) + tcp + b"\0" * (len(tcp) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total == 0xFFFF


def converse(net: Network, size: int = 5) -> str:
    """Connect, send, receive the answer, close on both sides; return the error, if any."""
    listener = net.h2.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((net.h2.ip, 80))
    listener.listen()

    def serve() -> None:
        with contextlib.suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                left = size
                while left and (data := peer.recv(left)):
                    left -= len(data)
                peer.sendall(b"answer")
                peer.recv(1)

    server = threading.Thread(target=serve, daemon=True)
    server.start()
    try:
        with net.h1.socket() as client:
            client.settimeout(60)
            client.connect((net.h2.ip, 80))
            client.sendall(b"x" * size)
            client.recv(6)
            client.shutdown(socket.SHUT_WR)
            client.recv(1)
        server.join(60)
    except OSError as error:
        return type(error).__name__
    finally:
        listener.close()
    return ""


def _run(faults: list[str], size: int, act: Callable[[Network], Any] | None = None) -> dict[str, Any]:
    with Network(load_topology("pair"), link="delay=50ms", faults=faults) as net:
        tap = Tap(net)
        said = act(net) if act else None
        trouble = converse(net, size)
        time.sleep(5)
        reports = [[r.fault, r.fired] for r in net.reports(0) if isinstance(r, FaultReport)]
        return {"rows": tap.rows(), "reports": reports, "trouble": trouble, "said": said}


@job
def faults(runs: Any) -> Any:
    """One conversation for each list of faults."""
    found = []
    for wanted, size in runs:
        try:
            found.append(_run(wanted, size))
        except HandshakeError as error:
            found.append({"error": type(error).__name__, "message": str(error)})
    return found


@job
def hold_and_release(_: Any) -> Any:
    """Hold the first pure ACK for 200 ms after its arrival."""

    def act(net: Network) -> None:
        fault = net.hold("ACK", nth=1, from_="h1")

        def let_go() -> None:
            fault.wait(1, limit=10)
            time.sleep(0.2)
            assert fault.held == 1
            assert fault.release() == 1

        threading.Thread(target=let_go).start()

    return _run([], 5, act)


@job
def inject_now(kinds: Any) -> Any:
    """For each (kind, to, seq, ack): inject that segment into an idle connection; return the states of both ends."""
    found = []
    for kind, to, seq, ack in kinds:
        with Network(load_topology("pair"), link="delay=50ms") as net:
            tap = Tap(net)
            listener = net.h2.socket()
            listener.bind((net.h2.ip, 80))
            listener.listen()
            client = net.h1.socket()
            client.connect((net.h2.ip, 80))
            server, _ = listener.accept()
            client.sendall(b"hello")
            server.recv(5)
            time.sleep(1)
            before = len(tap.rows())
            net.inject(kind, to=to, seq=seq, ack=ack)
            time.sleep(1)
            states = {}
            for name, sock in (("h1", client), ("h2", server)):
                sock.setblocking(False)
                try:
                    states[name] = "closed" if sock.recv(10) == b"" else "data"
                except BlockingIOError:
                    states[name] = "open"
                except OSError as error:
                    states[name] = type(error).__name__
            rows = [row[1:4] for row in tap.rows()]
            found.append({"before": before, "after": rows, "states": states})
    return found


@job
def change_links(_: Any) -> Any:
    """Drop everything, restore, cut, restore, change a distribution: connect each time, and read the output of tc."""
    found: list[Any] = []
    with Network(load_topology("pair"), link="delay=20ms") as net:
        listener = net.h2.socket()
        listener.bind((net.h2.ip, 80))
        listener.listen()

        def connects() -> bool:
            with net.h1.socket() as client:
                client.settimeout(0.5)
                try:
                    client.connect((net.h2.ip, 80))
                except TimeoutError:
                    return False
                return True

        link = net.link("h1", "s1")
        found.append(["whole", connects(), net.links])
        link.set(loss="100%")
        found.append(["lossy", connects(), net.links])
        link.set(loss="0%")
        found.append(["whole again", connects(), net.links])
        link.cut()
        found.append(["cut", connects(), net.links])
        link.mend()
        found.append(["mended", connects(), net.links])
        link.set(delay="20ms", jitter="5ms", distribution="pareto", to="h1")
        link.set(distribution="uniform", to="h1")
        found.append(["jittery", connects(), net.links])
        link.clear()
        found.append(["clear", connects(), net.links])
    with Network(load_topology("routed")) as net:
        listener = net.h2.socket()
        listener.bind((net.h2.ip, 80))
        listener.listen()
        for name, act in (("cut", "cut"), ("mended", "mend")):
            getattr(net.link("h1", "r1"), act)()
            found.append([f"routed {name}", connects(), net.links])
    return found


@job
def tampered(_: Any) -> Any:
    """Change and remove a queue without the network's knowledge; return the reports."""
    found = []
    for words in (["change", "dev", "s1-eth2", "root", "netem", "delay", "40ms"], ["del", "dev", "s1-eth2", "root"]):
        with Network(load_topology("pair"), link="delay=50ms") as net:
            net.nodes["s1"].run(["tc", "qdisc", *words])
            try:
                net.reports(0)
            except HandshakeError as error:
                found.append([type(error).__name__, str(error)])
    return found


@job
def quiet(topologies: Any) -> Any:
    """All frames on all interfaces during two minutes without activity."""
    found = {}
    for name in topologies:
        with Network(load_topology(name)) as net:
            counted = {}
            for interface in net.interfaces:
                with interface.node.enter():
                    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
                sock.bind((interface.name, 3))
                sock.setblocking(False)
                counted[interface.name] = sock
            time.sleep(120)
            seen = []
            for port, sock in counted.items():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        seen.append([port, sock.recv(64).hex()])
            found[name] = seen
    return found


@job
def reach(argument: Any) -> Any:
    """Connect from one host to a port of another, in each topology; return the result and the time in ms."""
    found = []
    for topology, one, other, port in argument:
        with Network(load_topology(topology), link="delay=20ms") as net:
            listener = net[other].socket()
            listener.bind((net[other].ip, port))
            listener.listen()
            with net[one].socket() as client:
                client.settimeout(2)
                began = time.monotonic_ns()
                try:
                    client.connect((net[other].ip, port))
                    taken = time.monotonic_ns() - began
                    result = listener.accept()[1][0]
                except OSError as error:
                    taken = time.monotonic_ns() - began
                    result = type(error).__name__ + (f" {error.errno}" if error.errno else "")
                found.append([result, round(taken / 1e6, 1)])
    return found


@job
def named(_: Any) -> Any:
    """The names, namespaces, offloads and settings that programs see."""
    with Network(
        load_topology("pair"), sysctls={"net.ipv4.tcp_fin_timeout": 7, "h2:net.ipv4.tcp_syncookies": 0}
    ) as net:
        return {
            "netns": subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.split(),
            "exec": subprocess.run(
                ["ip", "netns", "exec", "h1", "ip", "-br", "address"], capture_output=True, text=True, check=True
            ).stdout,
            "hosts": net.h1.run(["getent", "ahostsv4", "h2"]).stdout.split()[0],
            "resolved": socket.gethostbyname("h1"),
            "timeouts": [host.run(["cat", "/proc/sys/net/ipv4/tcp_fin_timeout"]).stdout.strip() for host in net.hosts],
            "cookies": [host.run(["cat", "/proc/sys/net/ipv4/tcp_syncookies"]).stdout.strip() for host in net.hosts],
            "mesh": net.h1.run(["ip", "neigh"]).stdout.split(),
        }


@job
def many_hosts(count: Any) -> Any:
    """Start a star of this many hosts, and connect the first to the last."""
    with Network(load_topology(f"star,{count}")) as net:
        last = net[f"h{count}"]
        listener = last.socket()
        listener.bind((last.ip, 80))
        listener.listen()
        with net.h1.socket() as client:
            client.connect((last.ip, 80))
            return listener.accept()[1][0]


@job
def nothing(_: Any) -> Any:
    """Do nothing."""
    return None


@job
def busy(_: Any) -> Any:
    """Run a network with faults and a program in a host, until killed."""
    wanted = ["drop SYN nth=1 optional", "hold FIN optional"]
    with Network(load_topology("pair"), faults=wanted) as net, net.h1.popen(["sleep", "1000"]) as program:
        converse(net)
        program.wait()
    return None


@job
def host_faults(wanted: Any) -> Any:
    """A conversation in real time."""
    with Network(load_topology("pair"), faults=wanted) as net:
        trouble = converse(net)
        reports = [[r.fault, r.fired] for r in net.reports(0) if isinstance(r, FaultReport)]
        return {"trouble": trouble, "reports": reports, "names": socket.gethostbyname("h2")}


@job
def host_delay(_: Any) -> Any:
    """Request a delay; return the error, if it is refused."""
    try:
        with Network(load_topology("pair"), link="delay=5ms"):
            return ["", ""]
    except HandshakeError as error:
        return [type(error).__name__, str(error)]


@job
def host_names(_: Any) -> Any:
    """A network, and what a program in it sees."""
    with Network(load_topology("pair")) as net:
        return net.h1.run(["getent", "ahostsv4", "h2"]).stdout.split()[0]
