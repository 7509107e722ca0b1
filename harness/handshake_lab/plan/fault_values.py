"""Converting the values of a fault's parts from text or Python to those of `Fault`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.fault_text import ACTIONS, KINDS, WORDS
from handshake_lab.plan.nearest_name import hint
from handshake_lab.tcp import flags, icmp
from handshake_lab.tcp.options import encode_options

if TYPE_CHECKING:
    from collections.abc import Callable

_NODE = re.compile(r"[A-Za-z0-9_.]{1,15}")
_OFFSET = re.compile(r"[+-]?[0-9]{1,10}")
_NUMBER = re.compile(r"-?[0-9]{1,10}")
_MOST_NTH = 1_000_000
#: The maximum payload in a frame of 1500 bytes with the longest headers (IPv6, 40 bytes of options).
_MOST_PAYLOAD = 1500 - 40 - 60


def positive(field: str, value: object, example: str) -> int:
    """A count from 1."""
    return units.count(field, value, example, most=_MOST_NTH)


def numbers(field: str, value: object) -> tuple[int, ...]:
    """Counts: 1, (1, 3) or "1,3"."""
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple | list) else [value]
    if not items:
        raise UsageError(field, value, "is empty", "nth=1")
    return tuple(sorted({positive(field, item, "nth=1,3") for item in items}))


def node(field: str, name: object) -> str:
    """The name of a host; empty for None."""
    if name is None:
        return ""
    if not isinstance(name, str) or not _NODE.fullmatch(name):
        raise UsageError(field, name, "is not the name of a host", "from h1")
    return name


def read_kind(field: str, kind: object, kinds: tuple[str, ...]) -> str:
    """One of the kinds, a combination of flags, or an ICMP error, in the form that `Fault` uses."""
    if isinstance(kind, str):
        for known in kinds:
            if kind.lower() == known.lower():
                return known
        letters = flags.letters(kind)
        if letters is not None:
            return flags.names(letters)
        error = kind.lower().replace(" ", "-").removeprefix("icmp-").replace("-", " ")
        if kind.lower().startswith("icmp") and error in icmp.KINDS:
            return "ICMP-" + error.replace(" ", "-")
    raise UsageError(field, kind, f"is not a kind of segment; {hint(str(kind), kinds)}", ACTIONS["drop"])


def read_value(name: str, field: str, value: object) -> Any:
    """The value of a part.

    Raises:
        UsageError: It is invalid.
    """
    return _READERS.get(name, positive)(field, value, WORDS[name])


def _duration(field: str, value: object, example: str) -> int:
    found = units.duration(field, value, example)
    if not found:
        raise UsageError(field, value, "is not a delay", example)
    return found


def _offset(field: str, value: object, example: str) -> int:
    if isinstance(value, bool) or not _OFFSET.fullmatch(str(value)) or abs(int(str(value))) >= 2**32:
        raise UsageError(field, value, "is not a distance between -2147483647 and 2147483647", example)
    return int(str(value))


def _sixteen_bits(field: str, value: object, example: str) -> int:
    return units.count(field, value, example, most=65535)


def _number(field: str, value: object, example: str) -> int:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise UsageError(field, value, "is not a whole number", example)
    return int(str(value))


def _window(field: str, value: object, example: str) -> int:
    found = _number(field, value, example)
    if not 0 <= found <= 65535:
        raise UsageError(field, value, "does not fit into the window field (0 to 65535)", example)
    return found


def _family(field: str, value: object, example: str) -> str:
    found = str(value).lower()
    if found not in ("ipv4", "ipv6"):
        raise UsageError(field, value, "is neither ipv4 nor ipv6", example)
    return found


def _payload(field: str, value: object, example: str) -> bytes:
    """Data: bytes, a number of zero bytes, text, or ``0x`` and hexadecimal digits."""
    if isinstance(value, int | bytes | bytearray) and not isinstance(value, bool):
        found = bytes(value)
    elif isinstance(value, str) and value.startswith("0x"):
        try:
            found = bytes.fromhex(value[2:])
        except ValueError:
            raise UsageError(field, value, "are not hexadecimal digits", example) from None
    elif isinstance(value, str):
        found = value.encode()
    else:
        raise UsageError(field, value, "is neither bytes, text nor a number of bytes", example)
    if len(found) > _MOST_PAYLOAD:
        raise UsageError(field, len(found), f"bytes are more than fit into a segment ({_MOST_PAYLOAD})", example)
    return found


_READERS: dict[str, Callable[[str, object, str], Any]] = {
    "by": _duration,
    "seq": _offset,
    "ack": _offset,
    "on": lambda field, value, _: read_kind(field, value, KINDS),
    "port": _sixteen_bits,
    "sport": _sixteen_bits,
    "mtu": _sixteen_bits,
    "rel_seq": _number,
    "rel_ack": _number,
    "length": _number,
    "window": _window,
    "family": _family,
    "absolute": lambda _, value, __: bool(value),
    "payload": _payload,
    "options": lambda field, value, _: encode_options(value, field),
}
