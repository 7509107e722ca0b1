"""Documents held against the JSON Schemas that the package has."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export import schemas


def validator(text: str) -> jsonschema.Draft202012Validator:
    """A validator for a schema; the schema itself is valid."""
    schema = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def validate(document: Any) -> None:
    """Fail unless a document is valid against the schema of its kind that the package has."""
    kind = document["document"]
    problems = validator((schemas.FOLDER / f"{kind}.schema.json").read_text("utf-8")).iter_errors(document)

    assert document["version"] == FORMAT_VERSION
    assert [f"{each.json_path}: {each.message}" for each in problems] == []
