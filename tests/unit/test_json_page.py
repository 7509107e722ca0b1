"""docs/reference/json.md is current: its examples are what the commands print, its tables are those of the code."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path

import pytest
import schema_checks
from command_line import handshake
from handshake_lab.report.export import schemas

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "json.md").read_text("utf-8")
RENEW = "python docs/make_json_page.py"

_spec = importlib.util.spec_from_file_location("make_json_page", ROOT / "docs" / "make_json_page.py")
assert _spec
assert _spec.loader
maker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(maker)


def sections(page: str) -> dict[str, str]:
    """The parts of a page by their headings, with every number as 0: ports and times are a kernel's and a machine's."""
    parts = re.split(r"(?m)^(##+ .*)$", re.sub(r"\d+(\.\d+)*", "0", page))
    return {"": parts[0]} | dict(zip(parts[1::2], parts[2::2], strict=True))


def run(command: str, cwd: Path) -> str:
    """What a command prints that must succeed."""
    program, *words = shlex.split(command)
    if program != "handshake":
        return str(maker.shell(command, cwd))
    done = handshake(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def printed() -> dict[str, str]:
    """What the commands of the page print, by the kind of document, and a record's lines."""
    return maker.printed(run)  # type: ignore[no-any-return]


def test_the_page_is_current(printed: dict[str, str]) -> None:
    """Texts, tables of codes, and examples; what doctor and kernel list print depends on the machine."""
    written, made = sections(PAGE), sections(maker.page(printed))
    for heading in ("### doctor", "### kernels"):
        written[heading], made[heading] = (each[heading].partition("```json")[0] for each in (written, made))

    assert list(written) == list(made), f"run {RENEW}"
    assert [heading for heading in made if written[heading] != made[heading]] == [], f"run {RENEW}"


@pytest.mark.parametrize("kind", maker.COMMANDS)
def test_what_a_command_prints_is_valid(printed: dict[str, str], kind: str) -> None:
    """The real document, and nothing else on standard output."""
    document = json.loads(printed[kind])

    assert document["document"] == kind
    schema_checks.validate(document)


def test_every_kind_of_document_is_on_the_page() -> None:
    """With a command that prints it."""
    assert set(maker.COMMANDS) == {schemas.kind_of(each) for each in schemas.DOCUMENTS}


def test_the_page_shows_nothing_of_this_machine() -> None:
    """Neither its directories nor its kernel."""
    assert "/tmp" not in PAGE  # noqa: S108 - a path that must not occur
    assert "/root" not in PAGE
    assert "/home" not in PAGE


@pytest.mark.parametrize("kind", maker.COMMANDS)
def test_an_example_is_a_valid_document(kind: str) -> None:
    """But for the marks of what was left out."""
    example = json.loads(PAGE.partition(f"\n### {kind}\n")[2].partition("```json\n")[2].partition("```")[0])

    assert example["document"] == kind
    schema_checks.validate(_without_marks(example))


def _without_marks(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_marks(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_marks(each) for each in value if not re.fullmatch(r"… \d+ more", str(each))]
    return value
