"""What an observer is: something with descriptors to wait on, which turns what arrives into observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.observations import Observation


class Observer(Protocol):
    """One way to watch. Usable alone: wait until a descriptor is readable, then `read` it."""

    name: str

    def descriptors(self) -> Iterable[int]:
        """File descriptors that become readable when there is something to see."""

    def read(self, descriptor: int) -> Iterable[Observation]:
        """Everything there is to see on that descriptor now, without waiting."""

    def close(self) -> None:
        """Stop watching and leave nothing behind."""
