"""``events.schema.json``: the format of ``events.jsonl`` for programs that are not this one.

Generated from the types of `handshake_lab.recording.observations`. After a change there::

    python -m handshake_lab.recording.schema

writes it anew. A change that an older reader would misunderstand also raises
`handshake_lab.recording.observations.SCHEMA`.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from handshake_lab.recording.observations import SCHEMA, Observation

#: Where the generated file is kept.
FILE = Path(__file__).with_name("events.schema.json")


def generate() -> str:
    """The JSON Schema (draft 2020-12) of one line of ``events.jsonl``, as text."""
    schema = msgspec.json.schema(Observation)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of events.jsonl",
        "description": f"Handshake Lab, format {SCHEMA}. The first line is a RunHeader. Times are nanoseconds.",
    }
    return json.dumps(head | schema, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(generate(), encoding="utf-8")
