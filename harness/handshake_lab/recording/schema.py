"""``events.schema.json`` and ``branch.schema.json``: the formats of ``events.jsonl`` and ``branch.json`` for others.

They are generated from the types of `handshake_lab.recording.observations` and `handshake_lab.recording.branches`,
together with the schemas of all documents, by ``python -m handshake_lab.report.export.schemas``.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import msgspec

from handshake_lab.recording.branches import BranchStep
from handshake_lab.recording.observations import FORMAT_VERSION, Observation

#: The generated file.
FILE = Path(__file__).with_name("events.schema.json")
#: The generated file about ``branch.json``.
BRANCH_FILE = Path(__file__).with_name("branch.schema.json")


def generate() -> str:
    """The JSON Schema (draft 2020-12) of one line of ``events.jsonl``, as text."""
    head = {
        "title": "One line of events.jsonl",
        "description": f"Handshake Lab, version {FORMAT_VERSION}. The first line is a RunHeader, the last a RunEnd; "
        "a file without it is of a run that was killed. Times are integer nanoseconds since the recording began.",
    }
    schema = msgspec.json.schema(Observation)
    schema["$defs"]["RunHeader"]["properties"]["version"] = {"const": FORMAT_VERSION}
    return written(head | schema)


def generate_branch() -> str:
    """The JSON Schema (draft 2020-12) of ``branch.json``, as text."""
    head = {
        "title": "branch.json",
        "description": f"Handshake Lab, version {FORMAT_VERSION}. The decisions of a branch, in order of time. Times "
        "are integer nanoseconds since the recording began.",
    }
    return written(head | msgspec.json.schema(list[BranchStep]))


def written(schema: dict[str, Any]) -> str:
    """A schema as text, the same from every Python and every msgspec.

    Before Python 3.13, docstrings keep their indentation; releases of msgspec place null differently in alternatives.
    """
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema"} | _tidied(schema), indent=2) + "\n"


def _tidied(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: inspect.cleandoc(each) if key == "description" and isinstance(each, str) else _tidied(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return sorted(map(_tidied, value), key=lambda each: each == {"type": "null"})
    return value
