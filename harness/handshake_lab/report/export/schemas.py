"""JSON Schemas of all documents and of ``events.jsonl``, generated from their types.

After a change of a type, ``python -m handshake_lab.report.export.schemas`` writes them again. A change that an older
reader would misunderstand also raises `handshake_lab.recording.observations.FORMAT_VERSION`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from handshake_lab.recording import schema as events
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.claims_document import ClaimsDocument
from handshake_lab.report.export.edges_document import EdgesDocument
from handshake_lab.report.export.json_document import Document, Seconds
from handshake_lab.report.export.machine_documents import (
    DoctorDocument,
    KernelsDocument,
    ReportDocument,
    TopologiesDocument,
    TopologyCheckDocument,
)
from handshake_lab.report.export.pytest_document import PytestSession
from handshake_lab.report.export.run_document import RunDocument
from handshake_lab.report.export.scenario_documents import (
    MutationsDocument,
    ScenarioMatrixDocument,
    ScenarioResultsDocument,
    ScenariosDocument,
)

#: Where the generated files are: NAME.schema.json, by the document's kind.
FOLDER = Path(__file__).with_name("schemas")

#: Every kind of document.
DOCUMENTS: tuple[type[Document], ...] = (
    RunDocument,
    ReportDocument,
    ScenariosDocument,
    ScenarioResultsDocument,
    ScenarioMatrixDocument,
    MutationsDocument,
    PytestSession,
    ClaimsDocument,
    EdgesDocument,
    TopologiesDocument,
    TopologyCheckDocument,
    KernelsDocument,
    DoctorDocument,
)


def kind_of(document: type[Document]) -> str:
    """The kind of a document: the value of its field ``document``."""
    return str(document.__struct_config__.tag)


def generate() -> dict[Path, str]:
    """Every schema (JSON Schema, draft 2020-12), by the file that holds it."""
    files = {FOLDER / f"{kind_of(each)}.schema.json": _schema(each) for each in DOCUMENTS}
    return files | {events.FILE: events.generate(), events.BRANCH_FILE: events.generate_branch()}


def _schema(document: type[Document]) -> str:
    schema = msgspec.json.schema(document, schema_hook=_custom)
    root = schema["$defs"][document.__name__]
    root["properties"]["version"] = {"const": FORMAT_VERSION}
    head = {"title": f"Handshake Lab, document {kind_of(document)!r}, version {FORMAT_VERSION}"}
    return events.written(head | schema)


def _custom(kind: type) -> dict[str, Any]:
    if kind is Seconds:
        return {"type": "number", "description": "Seconds, with nine decimals."}
    raise NotImplementedError(f"{kind.__name__} has no JSON Schema")


def write() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for file, text in generate().items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
