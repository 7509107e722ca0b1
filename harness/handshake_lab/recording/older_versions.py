"""Reading older versions of ``events.jsonl``.

tests/unit/fixtures contains samples of them, which a test reads.
"""

from __future__ import annotations

from typing import Any

import msgspec

from handshake_lab.recording.observations import FORMAT_VERSION

#: By version: the fields of a run's header that the next version renamed.
_RENAMED: dict[int, dict[str, str]] = {1: {"schema": "version"}}


def upgraded(header: bytes, version: int) -> bytes:
    """The first line of a file of any version, converted to the present version.

    Args:
        header: The line.
        version: Its version. A file of the current version is returned unchanged.
    """
    renamed = [names for older, names in sorted(_RENAMED.items()) if older >= version]
    if not renamed:
        return header
    fields: dict[str, Any] = msgspec.json.decode(header)
    for names in renamed:
        fields = {names.get(name, name): value for name, value in fields.items()}
    return msgspec.json.encode(fields | {"version": FORMAT_VERSION})
