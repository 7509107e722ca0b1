"""Sanitises text of recorded programs and hosts, so that it can be shown safely."""

from __future__ import annotations

import unicodedata

#: Longer than any real name, cause or error line; a line of 10 MB is truncated here.
LIMIT = 300

# Cf contains the direction overrides, which change the visible order of a line.
_CONTROL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, limit: int = LIMIT) -> str:
    r"""Return text without control characters, and of bounded length.

    An escape character becomes the four characters ``\x1b``, a direction override becomes
    ``\u202e``. The result is safe in a terminal and valid in XML. Markup characters are kept: code
    that writes markup must escape them.

    Args:
        text: The recorded text.
        limit: How many characters to keep. A truncated text ends with its original length.
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
