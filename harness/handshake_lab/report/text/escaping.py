"""Text that came out of a recorded program or host, made harmless to show."""

from __future__ import annotations

import unicodedata

#: Longer than any honest name, cause or error line; a 10 MB line is cut here.
LIMIT = 300

# Cf holds the direction overrides, which make a line read differently from what it is.
_CONTROL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, limit: int = LIMIT) -> str:
    r"""Return text with nothing in it that acts: controls spelt out, its length bounded.

    An escape character becomes the four characters ``\x1b``, a direction override becomes
    ``\u202e``. What is left is safe in a terminal and legal in XML; markup characters stay, since
    escaping them is the business of whoever writes markup.

    Args:
        text: What was recorded.
        limit: How many characters to keep. The length is told where some were cut.
    """
    kept = text[:limit]
    if not (kept.isascii() and kept.isprintable()):
        kept = "".join(_spelt(char) if unicodedata.category(char) in _CONTROL else char for char in kept)
    return kept if len(text) <= limit else f"{kept}… ({len(text):,})"


def _spelt(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
