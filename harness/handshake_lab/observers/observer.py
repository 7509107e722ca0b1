"""The protocol of observers: they have descriptors to wait for, and convert incoming data to observations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from handshake_lab.recording.observations import Observation


class Observer(Protocol):
    """One source of observations. It can be used alone: wait until a descriptor is readable, then `read` it."""

    name: str

    def descriptors(self) -> Iterable[int]:
        """File descriptors that become readable when there are new observations."""

    def read(self, descriptor: int) -> Iterable[Observation]:
        """All observations that are available from this descriptor, without waiting."""

    def close(self) -> None:
        """Stop observing and release all resources."""
