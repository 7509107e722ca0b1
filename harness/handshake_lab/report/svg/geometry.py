"""The measures of a ladder: one drawing for wide screens, paper and slides, and a narrow one for phones."""

from __future__ import annotations

import msgspec

from handshake_lab.report.layout.connections import LEFT, Side


class Geometry(msgspec.Struct, frozen=True):
    """Horizontal positions and sizes in pixels; ``left`` and ``right`` are the inner edges of the lanes' bars.

    ``character`` is the width of a character of a label, and ``caption`` that of one of a caption, approximately.
    ``bow`` is how far the curve from a segment to its retransmission extends beside the lane. ``text`` is the minimum
    distance between two texts in one column, ``line`` that between the lines of a caption.
    """

    width: int
    left: int
    right: int
    bar: int
    gutter: int
    bow: int
    near: int  #: the distance of a label from its lane
    far: int  #: the same if an arrow arrives directly above it
    character: float
    caption: float
    text: int
    line: int
    drop: int  #: how far down a lost segment's arrow goes, which ends in a cross
    narrow: bool  #: labels are horizontal and as long as the area; times are above the states

    @property
    def middle(self) -> float:
        """The middle between the lanes."""
        return (self.left + self.right) / 2

    @property
    def room(self) -> int:
        """Characters that fit on an arrow."""
        return int((self.right - self.left - 2 * self.near - 16) / self.character)

    @property
    def half(self) -> int:
        """Characters that fit on half of an arrow."""
        return int((self.middle - self.left - self.near - 8) / self.character)

    @property
    def caption_room(self) -> int:
        """Characters of a line of a caption."""
        return int((self.right - self.left - 12) / self.caption)

    def between(self, count: int) -> list[float]:
        """The positions of lanes between the two outer ones, with equal distances."""
        return [self.left + (self.right - self.left) * place / (count + 1) for place in range(1, count + 1)]

    def edge(self, side: Side) -> int:
        """The inner edge of a lane's bar; the arrows are between both."""
        return self.left if side == LEFT else self.right


WIDE = Geometry(
    width=780,
    left=206,
    right=634,
    bar=10,
    gutter=15,
    bow=15,
    near=12,
    far=60,
    character=7.3,
    caption=6.6,
    text=17,
    line=15,
    drop=8,
    narrow=False,
)
#: As wide as a phone, so that its smallest text is as large there as it is drawn.
NARROW = Geometry(
    width=372,
    left=98,
    right=274,
    bar=8,
    gutter=6,
    bow=5,
    near=5,
    far=16,
    character=6.05,
    caption=5.6,
    text=26,
    line=13,
    drop=6,
    narrow=True,
)
