"""Lines of styled terminal cells, and the sets of characters with which a ladder is drawn."""

from __future__ import annotations

from typing import Literal

import msgspec

from handshake_lab.report.text import cells
from handshake_lab.report.text.escaping import LIMIT, visible
from handshake_lab.tcp.states import State

#: A piece of a line: text and its style in rich's syntax.
Span = tuple[str, str]

#: Characters of this project's texts, and their ASCII replacements.
_LIKENESS = str.maketrans(
    {
        "→": "->",
        "←": "<-",
        "…": "...",
        "·": ",",
        "✓": "+",
        "✗": "X",
        "µ": "u",
        "\u2013": "-",
        "\u2014": "-",
        "≤": "<=",
        "≥": ">=",
    }
)


class Glyphs(msgspec.Struct, frozen=True):
    """The characters with which a ladder is drawn."""

    bar: str
    line: str
    to_right: str
    to_left: str
    ignored_right: str
    ignored_left: str
    leaves_right: str
    leaves_left: str
    enters_right: str
    enters_left: str
    channel: str
    crossing: str
    middle: str
    lost: str
    under_way: str
    made: str
    again: str
    fold: str
    yes: str
    no: str
    arrow: str
    more: str
    micro: str
    dot: str
    note: str
    rule: str
    #: Which characters are replaced: "" none, "symbols" those with an ASCII replacement, "all" all non-ASCII ones.
    spelt: Literal["", "symbols", "all"] = ""

    def legible(self, text: str, limit: int = LIMIT) -> str:
        """Recorded text, sanitised, in characters that this output can show."""
        shown = visible(text, limit)
        if not self.spelt or shown.isascii():
            return shown
        shown = shown.translate(_LIKENESS)
        return shown if self.spelt == "symbols" else shown.encode("ascii", "backslashreplace").decode()


#: For a terminal.
BOX = Glyphs(
    bar="┃",
    line="─",
    to_right="▶",
    to_left="◀",
    ignored_right="▷",
    ignored_left="◁",
    leaves_right="╮",
    leaves_left="╭",
    enters_right="╰",
    enters_left="╯",
    channel="│",
    crossing="┼",
    middle="┊",
    lost="✗",
    under_way="○",
    made="◆",
    again="↻",
    fold="⋮",
    yes="✓",
    no="✗",
    arrow="→",
    more="…",
    micro="µs",
    dot="·",
    note="·",
    rule="─",
)

#: For files that are compared, and for terminals without other characters.
ASCII = Glyphs(
    bar="|",
    line="-",
    to_right=">",
    to_left="<",
    ignored_right=")",
    ignored_left="(",
    leaves_right=".",
    leaves_left=".",
    enters_right="'",
    enters_left="'",
    channel="!",
    crossing="+",
    middle=":",
    lost="X",
    under_way="o",
    made="*",
    again="rtx ",
    fold="...",
    yes="+",
    no="!",
    arrow="->",
    more="...",
    micro="us",
    dot=",",
    note="-",
    rule="-",
    spelt="all",
)

#: The same for languages with letters outside ASCII.
LETTERS = msgspec.structs.replace(ASCII, spelt="symbols")

#: One colour for each state: opening states are yellow, ESTABLISHED is green, those of the side that closes
#: first blue to violet, those of the other side orange. Readable on dark and light backgrounds.
STATE_STYLE = {
    State.CLOSED: "grey50",
    State.LISTEN: "cyan",
    State.SYN_SENT: "yellow",
    State.SYN_RECEIVED: "dark_orange",
    State.ESTABLISHED: "green",
    State.FIN_WAIT_1: "dodger_blue2",
    State.FIN_WAIT_2: "blue_violet",
    State.CLOSING: "deep_pink3",
    State.TIME_WAIT: "magenta",
    State.CLOSE_WAIT: "orange3",
    State.LAST_ACK: "red",
}

#: Segments that open, close or abort a connection, and all others.
KIND_STYLE = {"syn": "yellow", "fin": "dodger_blue2", "rst": "bold red", "data": ""}

#: A medium grey, because some themes use the grey of the sixteen colours as background.
DIM = "grey50"


class Strip:
    """One line of cells; later text overwrites earlier text."""

    def __init__(self, size: int) -> None:
        self._chars = [" "] * size
        self._styles = [""] * size

    def put(self, x: int, text: str, style: str = "") -> None:
        """Write text from cell ``x`` on; text beyond the line is dropped."""
        for char in text:
            taken = cells.cell(char)
            if x >= 0 and x + taken <= len(self._chars):
                for offset in range(taken):
                    self._chars[x + offset] = "" if offset else char
                    self._styles[x + offset] = style
            x += taken

    def at(self, x: int) -> str:
        """The character in a cell."""
        return self._chars[x]

    def spans(self) -> list[Span]:
        """The line as runs of one style."""
        out: list[Span] = []
        for char, style in zip(self._chars, self._styles, strict=True):
            if out and out[-1][1] == style:
                out[-1] = (out[-1][0] + char, style)
            else:
                out.append((char, style))
        return out


def plain(spans: list[Span]) -> str:
    """The text of a line without trailing spaces."""
    return "".join(text for text, _ in spans).rstrip()
