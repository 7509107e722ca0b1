"""Which node an address belongs to."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING

from handshake_lab.tcp.address import Address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The unspecified addresses, to which a listener is bound that accepts connections on every address.
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared with, not bound to

_MAPPED = "::ffff:"


def plain(address: Address) -> Address:
    """The address; an IPv4-mapped IPv6 address, as a dual-stack socket has it, as IPv4."""
    if address.ip.startswith(_MAPPED) and "." in address.ip:
        return Address(address.ip[len(_MAPPED) :], address.port)
    return address


def is_loopback(ip: str) -> bool:
    """Whether this is a loopback address, which every node has."""
    return ip == "::1" or ip.startswith("127.")


class Nodes:
    """The nodes of a run by their addresses.

    Args:
        nodes: `RunHeader.nodes`: names and their addresses, with or without a prefix length.
    """

    def __init__(self, nodes: Mapping[str, Sequence[str]]) -> None:
        self._owner = {
            _spelt_as_the_kernel_does(text.partition("/")[0]): node
            for node, addresses in nodes.items()
            for text in addresses
            if not is_loopback(text.partition("/")[0])
        }

    def of(self, ip: str) -> str:
        """The node with this address; "" if no node or every node has it."""
        return self._owner.get(ip, "")


def _spelt_as_the_kernel_does(ip: str) -> str:
    family = AF_INET6 if ":" in ip else AF_INET
    return inet_ntop(family, inet_pton(family, ip))
