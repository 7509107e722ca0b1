"""A TCP header's options as text and as bytes (RFC 9293, section 3.2; RFC 7323; RFC 2018; RFC 7413)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_EXAMPLE = "mss:1460,sackok,ts:1:0,nop,ws:7"
#: A header has up to 15 words of 32 bits, of which 5 are its fixed part.
_MOST = 40


def _sack(text: str) -> bytes:
    blocks = [block.split("-") for block in text.split(":")]
    return b"".join(struct.pack("!II", int(left), int(right)) for left, right in blocks)


def _timestamps(text: str) -> bytes:
    value, echo = text.split(":")
    return struct.pack("!II", int(value), int(echo))


#: Each option by its name: its kind, and the function that encodes its value.
_OPTIONS: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "mss": (2, lambda text: struct.pack("!H", int(text))),
    "ws": (3, lambda text: struct.pack("!B", int(text))),
    "sackok": (4, lambda _: b""),
    "sack": (5, _sack),
    "ts": (8, _timestamps),
    "tfo": (34, bytes.fromhex),
}


def encode_options(wanted: object, field: str = "options") -> bytes:
    """Options as bytes of a header, padded to whole words of 32 bits.

    Args:
        wanted: ``mss:1460,sackok,ts:VALUE:ECHO,nop,ws:7,sack:LEFT-RIGHT:LEFT-RIGHT,tfo:HEX,eol``; ``0x…`` in
            hexadecimal digits, for other options; or bytes.
        field: The name of the value in messages.

    Raises:
        UsageError: An option is unknown, its value is invalid, or they are longer than 40 bytes.
    """
    if isinstance(wanted, bytes):
        raw = wanted
    elif not isinstance(wanted, str):
        raise UsageError(field, wanted, "is neither text nor bytes", _EXAMPLE)
    elif wanted.startswith("0x"):
        try:
            raw = bytes.fromhex(wanted[2:])
        except ValueError:
            raise UsageError(field, wanted, "are not hexadecimal digits", "0x020405b4") from None
    else:
        raw = b"".join(_encoded(item.strip(), field) for item in wanted.split(",") if item.strip())
    # Padded with the end of the option list and zeros (RFC 9293, section 3.1, Padding).
    raw += bytes(-len(raw) % 4)
    if len(raw) > _MOST:
        raise UsageError(field, str(wanted), f"are {len(raw)} bytes, more than the {_MOST} of a header", _EXAMPLE)
    return raw


def _encoded(item: str, field: str) -> bytes:
    name, _, value = item.partition(":")
    if name.lower() == "nop":
        return b"\x01"
    if name.lower() == "eol":
        return b"\x00"
    known = _OPTIONS.get(name.lower())
    if known is None:
        raise UsageError(field, item, f"is not an option (there are {', '.join(_OPTIONS)}, nop, eol)", _EXAMPLE)
    kind, read = known
    try:
        body = read(value)
    except (ValueError, struct.error):
        raise UsageError(field, item, "has an invalid value", _EXAMPLE) from None
    return bytes((kind, len(body) + 2)) + body


def show_options(raw: bytes) -> str:
    """Options of a header in the syntax of `encode_options`; unknown options as their kind and length."""
    found, at = [], 0
    names = {kind: name for name, (kind, _) in _OPTIONS.items()}
    while at < len(raw):
        kind = raw[at]
        if kind == 0:
            found.append("eol")
            break
        if kind == 1:
            found.append("nop")
            at += 1
            continue
        size = raw[at + 1] if at + 1 < len(raw) else 0
        if size < 2 or at + size > len(raw):
            found.append("invalid")
            break
        found.append(_shown(names.get(kind, f"kind{kind}"), raw[at + 2 : at + size]))
        at += size
    return ",".join(found)


def _shown(name: str, body: bytes) -> str:
    if name == "mss" and len(body) == 2:
        return f"mss:{body[0] << 8 | body[1]}"
    if name == "ws" and len(body) == 1:
        return f"ws:{body[0]}"
    if name == "ts" and len(body) == 8:
        return "ts:{}:{}".format(*struct.unpack("!II", body))
    if name == "sack" and body and len(body) % 8 == 0:
        return "sack:" + ":".join(f"{left}-{right}" for left, right in struct.iter_unpack("!II", body))
    return f"{name}:{body.hex()}" if body else name
