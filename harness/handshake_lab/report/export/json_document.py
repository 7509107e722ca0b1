"""The common part of all ``--json`` documents: their kind, their version, and writing them.

A document is a value of a type derived from `Document`; its JSON Schema is generated from that type
(`handshake_lab.report.export.schemas`). Documents are English in every language, and deterministic: the same
values give the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.recording.messages import CALL, Message

if TYPE_CHECKING:
    from handshake_lab.recording.observations import KernelInfo

_SECOND = 1_000_000_000


class Seconds:
    """A time or a duration, in JSON a number of seconds with nine decimals, exact.

    Ordinary JSON encoders would round it, or write it with an exponent.

    Args:
        nanoseconds: The same in nanoseconds.
    """

    __slots__ = ("nanoseconds",)

    def __init__(self, nanoseconds: int) -> None:
        self.nanoseconds = nanoseconds

    def __str__(self) -> str:
        sign = "-" if self.nanoseconds < 0 else ""
        whole, part = divmod(abs(self.nanoseconds), _SECOND)
        return f"{sign}{whole}.{part:09d}"


class Document(msgspec.Struct, frozen=True, tag_field="document"):
    """Base of all documents. ``document`` names the kind, ``version`` is `FORMAT_VERSION` of the release."""

    version: int


class Statement(msgspec.Struct, frozen=True):
    """A sentence: ``code`` identifies it for programs and is stable, ``text`` is English and may be reworded."""

    code: str
    text: str

    @classmethod
    def of(cls, message: Message | str) -> Statement:
        """The statement of a message; a string is a system call as the program made it."""
        return cls(CALL if isinstance(message, str) else message.code, str(message))


class KernelDocument(msgspec.Struct, frozen=True):
    """The kernel of a run: ``seed`` is null where random numbers are not seeded."""

    kind: str
    release: str
    hz: int
    seed: int | None

    @classmethod
    def of(cls, kernel: KernelInfo) -> KernelDocument:
        """The description of a kernel."""
        return cls(kernel.kind, kernel.release, kernel.hz, kernel.seed)


def to_json(document: Document) -> str:
    """Write a document as JSON, indented, with one newline at its end."""
    return msgspec.json.format(_encoder.encode(document), indent=2).decode() + "\n"


def _encode(value: Any) -> Any:
    if isinstance(value, Seconds):
        return msgspec.Raw(str(value).encode())
    raise NotImplementedError(f"{type(value).__name__} cannot be converted to JSON")


_encoder = msgspec.json.Encoder(enc_hook=_encode)
