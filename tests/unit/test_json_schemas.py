"""Schemas are current, and every document and record is valid against its schema."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import handshake
from handshake_lab.recording import schema as events
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.report.export import schemas
from handshake_lab.report.export.json_document import to_json
from handshake_lab.report.export.run_document import run_document
from handshake_lab.verdict.judge import judge
from recordings import RUNS
from report_records import ALL
from schema_checks import validate, validator

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.report.export.json_document import Document

RENEW = "python -m handshake_lab.report.export.schemas"


@pytest.mark.parametrize("file", schemas.generate(), ids=lambda file: file.name)
def test_schemas_are_current(file: Path) -> None:
    """After a change of a type: python -m handshake_lab.report.export.schemas."""
    assert file.read_text("utf-8") == schemas.generate()[file], f"run {RENEW}"


def test_no_schema_is_left_over() -> None:
    """Every file is that of a document."""
    assert set(schemas.FOLDER.iterdir()) | {events.FILE, events.BRANCH_FILE} == set(schemas.generate())


@pytest.mark.parametrize("document", schemas.DOCUMENTS, ids=schemas.kind_of)
def test_every_field_is_in_the_schema(document: type[Document]) -> None:
    """The kind and the version come first and are required; only a state has optional fields."""
    schema = json.loads((schemas.FOLDER / f"{schemas.kind_of(document)}.schema.json").read_text("utf-8"))
    root = schema["$defs"][document.__name__]
    optional = {
        name: sorted(set(definition["properties"]) - set(definition.get("required", ())))
        for name, definition in schema["$defs"].items()
        if "properties" in definition
    }
    optional = {name: missing for name, missing in optional.items() if missing}

    assert list(root["properties"])[:2] == ["document", "version"]
    assert root["properties"]["version"] == {"const": FORMAT_VERSION}
    assert set(optional) <= {"StateDocument", "PytestResult", "DocumentedTimer"}


@pytest.mark.parametrize("name", ALL)
def test_run_documents_are_valid(name: str) -> None:
    """Losses, refusals, simultaneous closes, orphans, bulk data."""
    record = ALL[name]()

    validate(json.loads(to_json(run_document(record, judge(record)))))


def test_the_document_of_a_report_is_valid(tmp_path: Path) -> None:
    """``handshake report --json`` names the pages that it has written."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / EVENTS).write_bytes((RUNS / "normal.jsonl").read_bytes())
    document = json.loads(handshake("report", str(tmp_path), "--json").stdout)

    validate(document)
    assert document["index"] == str(tmp_path / "report/index.html")
    assert [run["page"] for run in document["runs"]] == [str(tmp_path / "report/001-run.html")]


def test_a_recorded_run_is_valid_line_by_line(tmp_path: Path) -> None:
    """What the recorder writes, with programs, faults and impaired links."""
    words: tuple[str, ...] = (
        "--link",
        "delay=20ms,loss=5%",
        "--fault",
        "drop SYN nth=1",
        "--seed",
        "3",
        "--out",
        str(tmp_path),
    )
    programs = ("--server", "python3 -m http.server 80", "--client", f"{sys.executable} -c 'pass'")
    client = "import urllib.request; urllib.request.urlopen('http://h2/').read()"
    words += (*programs, "--client", f'{sys.executable} -c "{client}"')
    assert handshake("record", *words).returncode == 0
    checked = validator(events.FILE.read_text("utf-8"))
    lines = [json.loads(line) for line in (tmp_path / EVENTS).read_bytes().splitlines()]

    assert {line["type"] for line in lines} >= {"run", "state", "socket", "segment", "program", "fault", "qdisc", "end"}
    assert [f"{line}: {each.message}" for line in lines for each in checked.iter_errors(line)] == []


def test_a_wrong_document_is_invalid() -> None:
    """A schema that accepts anything would prove nothing."""
    record = ALL["normal"]()
    document = json.loads(to_json(run_document(record, judge(record))))
    for wrong in (
        document | {"version": FORMAT_VERSION + 1},
        document | {"complete": "yes"},
        {key: value for key, value in document.items() if key != "verdict"},
        document | {"endpoints": [document["endpoints"][0] | {"role": "peer"}]},
    ):
        schema = (schemas.FOLDER / "run.schema.json").read_text("utf-8")

        assert not validator(schema).is_valid(wrong)
