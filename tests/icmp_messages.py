"""ICMP messages that a test makes up."""

from __future__ import annotations


def checked(message: bytes) -> bytes:
    """An ICMP message with its checksum (RFC 792)."""
    total = sum(int.from_bytes(message[at : at + 2].ljust(2, bytes(1))) for at in range(0, len(message), 2))
    folded = (total & 0xFFFF) + (total >> 16)
    return message[:2] + (~(folded + (folded >> 16)) & 0xFFFF).to_bytes(2) + message[4:]
