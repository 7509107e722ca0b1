"""The address of a TCP endpoint: an IP address and a port."""

from __future__ import annotations

import msgspec


class Address(msgspec.Struct, frozen=True, gc=False, array_like=True, order=True):
    """An IP address and a port; port 0 if it is not bound yet."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


#: A connection from a node's point of view: its own address first.
Flow = tuple[Address, Address]
