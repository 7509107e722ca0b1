"""The windows of segments in bytes, by the window scale options of both SYNs (RFC 7323, section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from handshake_lab.recording.history import TransmittedSegment
    from handshake_lab.tcp.address import Address


class Windows:
    """Follows the SYNs of all connections, segment by segment in order of time."""

    def __init__(self) -> None:
        self._scales: dict[tuple[Address, Address], int | None] = {}

    def scaled(self, segment: TransmittedSegment) -> int | None:
        """The window of a segment in bytes; None if a SYN of its connection was not seen.

        The window of a segment with SYN is never scaled (RFC 7323, section 2.2).
        """
        own = (segment.src, segment.dst)
        source, target = segment.arriving
        back = (target, source)
        if "S" in segment.flags:
            self._scales[own] = segment.options.window_scale
            return segment.window
        if own not in self._scales or back not in self._scales:
            return None
        mine, other = self._scales[own], self._scales[back]
        # Scaling is in effect only if both sides have offered it; a shift is 14 at most (section 2.3).
        return segment.window if mine is None or other is None else segment.window << min(mine, 14)
