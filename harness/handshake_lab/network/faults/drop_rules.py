"""Faults that drop segments, as nft rules. Pure: it produces text only.

Each namespace of the middle has one table with two chains for segments that leave towards the hosts.
The first chain counts the matching segments of each fault separately, and marks those to be dropped.
The second chain drops the marked segments, and redirects the others through the middlebox if there is
one. Therefore the count of a fault does not depend on other faults.

Source: nft(8); numgen: net/netfilter/nft_numgen.c (``inc`` counts 0, 1, 2, ...).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.tcp import flags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from handshake_lab.plan.fault import Fault

TABLE = "handshake"
#: The suffix of the chain that counts the segments that a fault drops.
HITS = "-hits"
#: Marks on packets, used in the middle only: to be dropped; crafted or released by the middlebox.
LOST, PASSED = 0x1, 0x2
#: Dummy interfaces from which the middlebox receives segments: those to forward, and those to drop.
SHOWN, SHOWN_LOST = "mb-shown", "mb-lost"

#: The number of devices that a chain can have (NFT_NETDEVICE_MAX is 256).
MOST_DEVICES = 256

#: Kinds that are not a combination of flags.
_KINDS = {
    "DATA": "meta l4proto tcp",
    "FIN": "tcp flags & (fin|rst) == fin",
    "RST": "tcp flags & rst == rst",
    "any": "meta l4proto tcp",
    "UDP": "meta l4proto udp",
    "ICMP": "meta l4proto { icmp, ipv6-icmp }",
}
#: Datagrams that the middlebox can forward: to one host, which therefore has an exit. ICMPv6 from type 128 on is none.
_DATAGRAMS = (
    "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 meta l4proto udp",
    "icmp type { destination-unreachable, source-quench, redirect, time-exceeded, parameter-problem }",
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
)
#: The names of the flags in nft (tcp_flag_tbl, src/proto.c).
_FLAGS = {"F": "fin", "S": "syn", "R": "rst", "P": "psh", "A": "ack", "U": "urg", "E": "ecn", "W": "cwr"}
#: One rule for each data offset of 5 to 15 words. nft cannot subtract one field from another, but it
#: can compare: a segment without payload is as long as its headers.
_EMPTY = [
    *(f"ip length {20 + 4 * words} tcp doff {words}" for words in range(5, 16)),
    *(f"ip6 length {4 * words} tcp doff {words}" for words in range(5, 16)),
]


def base(devices: Sequence[str]) -> str:
    """The rules that create the table with its two chains."""
    ports = ", ".join(f'"{name}"' for name in devices)
    hook = "type filter hook egress devices = {{ {ports} }} priority {priority}; policy accept;"
    return (
        f"table netdev {TABLE} {{\n"
        f"  chain count {{ {hook.format(ports=ports, priority=0)} meta mark & {PASSED} != 0 accept; }}\n"
        f"  chain act {{ {hook.format(ports=ports, priority=10)} }}\n"
        "}\n" + act(diverted=())
    )


def act(diverted: Iterable[str], *, datagrams: bool = False) -> str:
    """The rules that replace the contents of the second chain.

    Args:
        diverted: The interfaces whose outgoing segments the middlebox receives.
        datagrams: Whether it also receives UDP datagrams and ICMP errors.
    """
    lines = [f"flush chain netdev {TABLE} act", f"add rule netdev {TABLE} act meta mark & {PASSED} != 0 accept"]
    ports = ", ".join(f'"{name}"' for name in diverted)
    for match in ("meta l4proto tcp", *(_DATAGRAMS if datagrams else ())) if ports else ():
        rule = f"add rule netdev {TABLE} act oifname {{ {ports} }} {match}"
        lines.append(f'{rule} meta mark & {LOST} != 0 fwd to "{SHOWN_LOST}"')
        lines.append(f'{rule} fwd to "{SHOWN}"')
    lines.append(f"add rule netdev {TABLE} act meta mark & {LOST} != 0 drop")
    return "\n".join(lines) + "\n"


def drop(name: str, fault: Fault, devices: Iterable[str], senders: Iterable[str]) -> str:
    """The rules of one fault that drops segments.

    Args:
        name: The fault's name, for its chains.
        fault: The fault.
        devices: The interfaces on which it acts.
        senders: The source addresses to which it is limited; empty for all.
    """
    lines = [
        # The dropped segments are counted in a separate chain, which stays when the fault ends. A named counter
        # would need nft_objref on kernels before 6.2, which may not have it.
        f"add chain netdev {TABLE} {name}{HITS}",
        f"add rule netdev {TABLE} {name}{HITS} counter meta mark set meta mark | {LOST}",
        f"add chain netdev {TABLE} {name}",
        f"add rule netdev {TABLE} {name} {_count(fault)} goto {name}{HITS}",
    ]
    target = name
    if fault.watched in ("ACK", "DATA"):
        target = f"{name}-sift"
        lines.append(f"add chain netdev {TABLE} {target}")
        empty, rest = (f"goto {name}", "") if fault.watched == "ACK" else ("return", f"goto {name}")
        lines += [f"add rule netdev {TABLE} {target} {headers} {empty}" for headers in _EMPTY]
        if rest:
            lines.append(f"add rule netdev {TABLE} {target} {rest}")
    ports = ", ".join(f'"{device}"' for device in devices)
    layer = "udp" if fault.watched == "UDP" else "tcp"
    family = {"ipv4": "meta protocol ip", "ipv6": "meta protocol ip6"}.get(fault.family, "")
    for source in _sources(senders, fault.family):
        for port in (f"{layer} sport {fault.port}", f"{layer} dport {fault.port}") if fault.port else ("",):
            parts = (f"oifname {{ {ports} }}", family, source, _match(fault.watched), port)
            match = " ".join(part for part in parts if part)
            lines.append(f"add rule netdev {TABLE} count {match} jump {target}")
    return "\n".join(lines) + "\n"


def _match(kind: str) -> str:
    """The condition on the flags of a kind of segment; equivalent to `handshake_lab.tcp.flags.match`."""
    if kind in _KINDS:
        return _KINDS[kind]
    wanted = flags.letters(kind) or ""
    compared = set(wanted) | set(flags.DECISIVE) if wanted else set(_FLAGS)
    mask = "|".join(name for letter, name in _FLAGS.items() if letter in compared)
    value = "|".join(name for letter, name in _FLAGS.items() if letter in wanted)
    return f"tcp flags & ({mask}) == {f'({value})' if '|' in value else value or 0}"


def _sources(senders: Iterable[str], only: str) -> list[str]:
    addresses = list(senders)
    if not addresses:
        return [""]
    addresses = [a for a in addresses if not only or (":" in a) == (only == "ipv6")]
    groups = (("ip", [a for a in addresses if ":" not in a]), ("ip6", [a for a in addresses if ":" in a]))
    return [f"{family} saddr {{ {', '.join(found)} }}" for family, found in groups if found]


def _count(fault: Fault) -> str:
    # numgen has its maximum period, so that its number never repeats.
    if fault.nth:
        return f"numgen inc mod 4294967295 {{ {', '.join(str(number - 1) for number in fault.nth)} }}"
    if fault.first:
        return f"numgen inc mod 4294967295 < {fault.first}"
    if fault.every > 1:
        return f"numgen inc mod {fault.every} == {fault.every - 1}"
    return ""


def cut(device: str, further: Iterable[str]) -> str:
    """A table that drops all frames that an interface sends or receives.

    Args:
        device: The interface.
        further: Interfaces through which frames to it are redirected before its ingress hook sees them.
    """
    chains = [f'chain out {{ type filter hook egress device "{device}" priority -10; policy drop; }}']
    chains.append(f'chain in {{ type filter hook ingress device "{device}" priority -10; policy drop; }}')
    for number, name in enumerate(further):
        chains.append(f'chain led{number} {{ type filter hook egress device "{name}" priority -10; policy drop; }}')
    return f"table netdev {cut_table(device)} {{\n  " + "\n  ".join(chains) + "\n}\n"


def cut_table(device: str) -> str:
    """The name of the table that `cut` creates."""
    return "cut-" + device.replace(".", "-")
