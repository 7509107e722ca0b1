"""The positions of the states of RFC 9293's Figure 5, and the paths of its arrows.

This module contains only geometry and the figure's own texts. `handshake_lab.tcp.diagram` defines all edges
and their names.
"""

from __future__ import annotations

import msgspec

from handshake_lab.tcp.states import State

WIDTH, HEIGHT = 820, 700
#: Half of the width and half of the height of a state's box.
BOX = (64, 19)

#: CLOSED occurs twice, as in the figure: at the beginning, and (None) at the end.
PLACES: dict[State | None, tuple[int, int]] = {
    State.CLOSED: (410, 36),
    State.LISTEN: (410, 136),
    State.SYN_RECEIVED: (130, 226),
    State.SYN_SENT: (690, 226),
    State.ESTABLISHED: (410, 316),
    State.FIN_WAIT_1: (130, 406),
    State.CLOSE_WAIT: (690, 406),
    State.FIN_WAIT_2: (130, 526),
    State.CLOSING: (410, 526),
    State.LAST_ACK: (690, 526),
    State.TIME_WAIT: (410, 646),
    None: (690, 646),
}


class Arrow(msgspec.Struct, frozen=True):
    """An arrow of the figure: its path, its texts and their centre."""

    path: str
    event: str
    action: str
    x: int
    y: int


_S = State

#: The arrows of the figure with its texts: the event, and what is sent.
ARROWS: dict[tuple[State, State], Arrow] = {
    (_S.CLOSED, _S.LISTEN): Arrow("M396 55V117", "passive OPEN", "", 342, 90),
    (_S.LISTEN, _S.CLOSED): Arrow("M424 117V55", "CLOSE", "", 452, 90),
    (_S.CLOSED, _S.SYN_SENT): Arrow("M474 36C600 36 690 90 690 207", "active OPEN", "snd SYN", 690, 74),
    (_S.SYN_SENT, _S.CLOSED): Arrow("M662 207C650 130 560 66 474 46", "CLOSE", "", 554, 114),
    (_S.LISTEN, _S.SYN_RECEIVED): Arrow("M346 130C240 130 150 150 140 207", "rcv SYN", "snd SYN-ACK", 178, 124),
    (_S.SYN_RECEIVED, _S.LISTEN): Arrow("M194 220C270 210 340 190 376 155", "rcv RST", "", 290, 190),
    (_S.LISTEN, _S.SYN_SENT): Arrow("M474 140C550 150 600 170 640 207", "SEND", "snd SYN", 540, 178),
    (_S.SYN_SENT, _S.SYN_RECEIVED): Arrow("M626 226H194", "rcv SYN", "snd SYN-ACK", 410, 207),
    (_S.SYN_RECEIVED, _S.ESTABLISHED): Arrow("M170 245C220 290 290 312 346 314", "rcv ACK of SYN", "", 282, 280),
    (_S.SYN_SENT, _S.ESTABLISHED): Arrow("M650 245C600 290 530 312 474 314", "rcv SYN-ACK", "snd ACK", 538, 278),
    (_S.SYN_RECEIVED, _S.FIN_WAIT_1): Arrow("M110 245V387", "CLOSE", "snd FIN", 70, 318),
    (_S.ESTABLISHED, _S.FIN_WAIT_1): Arrow("M346 324C270 330 190 350 160 387", "CLOSE", "snd FIN", 262, 362),
    (_S.ESTABLISHED, _S.CLOSE_WAIT): Arrow("M474 324C550 330 630 350 660 387", "rcv FIN", "snd ACK", 560, 362),
    (_S.FIN_WAIT_1, _S.FIN_WAIT_2): Arrow("M110 425V507", "rcv ACK of FIN", "", 58, 470),
    (_S.FIN_WAIT_1, _S.CLOSING): Arrow("M194 412C300 420 390 450 405 507", "rcv FIN", "snd ACK", 380, 424),
    (_S.FIN_WAIT_1, _S.TIME_WAIT): Arrow("M160 425C230 490 270 590 346 636", "rcv FIN-ACK", "snd ACK", 286, 506),
    (_S.CLOSE_WAIT, _S.LAST_ACK): Arrow("M690 425V507", "CLOSE", "snd FIN", 735, 470),
    (_S.FIN_WAIT_2, _S.TIME_WAIT): Arrow("M130 545C140 610 250 648 346 648", "rcv FIN", "snd ACK", 190, 640),
    (_S.CLOSING, _S.TIME_WAIT): Arrow("M410 545V627", "rcv ACK of FIN", "", 468, 590),
    (_S.LAST_ACK, _S.CLOSED): Arrow("M690 545V627", "rcv ACK of FIN", "", 745, 590),
    (_S.TIME_WAIT, _S.CLOSED): Arrow("M474 646H626", "2 MSL", "", 550, 640),
}


#: The arrows of Linux's additional transitions, which avoid those of the figure.
LINUX_ARROWS: dict[tuple[State, State], str] = {
    (_S.SYN_RECEIVED, _S.CLOSED): "M70 207C20 100 200 30 346 34",
    (_S.ESTABLISHED, _S.CLOSED): "M446 297C530 230 520 90 456 55",
    (_S.FIN_WAIT_1, _S.CLOSED): "M80 425C-20 600 60 700 400 690C520 686 600 680 640 665",
    (_S.FIN_WAIT_2, _S.CLOSED): "M90 545C80 680 260 690 400 688C520 686 600 680 640 665",
    (_S.CLOSING, _S.CLOSED): "M474 532C560 545 620 580 650 627",
    (_S.CLOSE_WAIT, _S.CLOSED): "M754 406C832 460 832 590 754 640",
}


def beside(old: State, new: State) -> str:
    """The path of a transition that Figure 5 does not contain: a curve between the two boxes."""
    drawn = LINUX_ARROWS.get((old, new))
    if drawn:
        return drawn
    x1, y1 = PLACES[old]
    x2, y2 = PLACES[None if new is State.CLOSED and y1 > PLACES[State.SYN_SENT][1] else new]
    # Curved to one side by a fifth of its length, so that it does not hide an arrow of the figure.
    bow_x, bow_y = (x1 + x2) / 2 + (y2 - y1) / 5, (y1 + y2) / 2 - (x2 - x1) / 5
    start, end = _rim(x1, y1, bow_x, bow_y), _rim(x2, y2, bow_x, bow_y)
    return f"M{start[0]:.0f} {start[1]:.0f}Q{bow_x:.0f} {bow_y:.0f} {end[0]:.0f} {end[1]:.0f}"


def _rim(x: float, y: float, towards_x: float, towards_y: float) -> tuple[float, float]:
    """The point at which a line from the centre of a box leaves the box."""
    dx, dy = towards_x - x, towards_y - y
    if not dx and not dy:
        return x, y
    scale = min(BOX[0] / abs(dx) if dx else 9e9, BOX[1] / abs(dy) if dy else 9e9)
    return x + dx * scale, y + dy * scale
