# ruff: noqa: INP001 - a script, not part of a package
"""Write docs/reference/json.md: ``python docs/make_json_page.py``.

It needs this project installed, and runs the commands of the page, on the lab kernel. The tables of codes and the
descriptions of the documents come from the code.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handshake_lab.recording import messages
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.schemas import DOCUMENTS, FOLDER, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from handshake_lab.report.export.json_document import Document

PAGE = Path(__file__).resolve().with_name("reference") / "json.md"
ROOT = PAGE.parents[2]

#: Items of a list that an example has.
SHOWN = 2
#: Before a decimal, where it is kept as text.
_NUMBER = "number "

#: Documents -> the commands that print them, in the order of the page; the first one is the example.
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": (
        'handshake demo --fault "drop SYN-ACK nth=1" --json',
        "handshake record … --json",
        "handshake show DIR --json",
    ),
    "report": ("handshake report runs --json",),
    "tests": ("pytest --handshake-json FILE",),
    "scenarios": ("handshake scenarios list --json",),
    "scenario-results": ("handshake scenarios run syn_lost_1 --json",),
    "scenario-matrix": ("handshake scenarios run syn_lost_1 --kernels newest --json",),
    "scenario-mutations": ("handshake scenarios mutate syn_lost_1 --json",),
    "claims": ("handshake claims C1 --json",),
    "edges": ("handshake edges --json",),
    "topologies": ("handshake topology list --json",),
    "topology-check": ("handshake topology check --link delay=20ms --json",),
    "kernels": ("handshake kernel list --json",),
    "doctor": ("handshake doctor --json",),
}

#: The commands that prepare the directory of the examples.
PREPARED = ("handshake demo --out runs/1", "handshake demo --loss 20% --out runs/2")
#: The test of the example of a pytest session.
TEST = """def test_a_lost_syn_is_retransmitted(net):
    net.drop("SYN", nth=1, from_="h1")
    client = net.h1.connect(net.h2.listen(80))

    assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
"""

#: What the page begins with; the names in braces are replaced.
BEGINNING = """# JSON documents and records

Made by `python docs/make_json_page.py`; not written by hand.

Every command with `--json` prints one document, and `pytest --handshake-json FILE` writes one. A recorded run is a
file `events.jsonl` with one observation per line. All of them have a version and a JSON Schema (draft 2020-12):

- The first fields of a document are `document`, its kind, and `version`, now {version}. The first line of
  `events.jsonl` has `"type": "run"` and the same `version`.
- Within a version, fields and codes may be added; none is removed, renamed or given another meaning.
- This release reads records of versions 1 to {version}. A record of a newer version is refused: install the release
  that wrote it, or a newer one.
- Documents and records are English, regardless of `--lang` and the locale. The same run gives the same bytes.
- Times are seconds with nine decimals in documents, and integer nanoseconds in records; both count from the beginning
  of the recording.
- A sentence has a `code` for programs and an English `text` for people. Codes are stable, texts may be reworded.

The schemas are in the package, in `handshake_lab/report/export/schemas` and `handshake_lab/recording`:

```python
from importlib.resources import files

schema = files("handshake_lab.report.export").joinpath("schemas/run.schema.json").read_text()
```

## Versions

**2**

- Every document has `document` and `version`; sentences have codes.
- `events.jsonl`: `version` in its header was `schema`.
- run: `links` was `link`; `node` was `host`; `sender`, `receiver`, `sent`, `received` of a segment were `from`, `to`,
  `time`, `arrived`; `rel_seq` and `rel_ack` were `seq` and `ack`, which are absolute now; `verdict.text` was
  `verdict.summary`; the flaw `lie` is gone: a FIN that was not
  sent is a finding.
- tests: `replay` was `again`; `mutation` was `mutant`. edges: `from` and `to` were `old` and `new`. topology-check:
  `measurements` was `findings`. scenario-mutations: `reason` was `told`.

**1**: the first one.

## Records

`events.jsonl` contains what the observers reported, uninterpreted; states, causes and the verdict are computed from it
whenever it is read (`handshake show DIR`). A file without the line `{"type": "end", …}` is of a run that was killed; it
is read as well. Its schema, [events.schema.json](../../harness/handshake_lab/recording/events.schema.json), describes
one line. The first line of each type that the example of a run below wrote, with shortened frames:

```json
{events}
```

## Documents

Examples have the first {shown} items of a list.
"""


def shell(command: str, cwd: Path) -> str:
    """What a command prints, in a directory, with this interpreter's own scripts first on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command), cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{command}: status {done.returncode}\n{done.stderr}{done.stdout}")
    return done.stdout


def printed(run: Callable[[str, Path], str] = shell) -> dict[str, str]:
    """The documents that the commands of the page print, by kind; and under "events", the record of the first one.

    Args:
        run: Returns what a command prints in a directory.
    """
    with tempfile.TemporaryDirectory() as name:
        cwd = Path(name)
        (cwd / "test_syn.py").write_text(TEST, "utf-8")
        for command in PREPARED:
            run(command, cwd)
        found = {kind: run(commands[0], cwd) for kind, commands in COMMANDS.items() if kind != "tests"}
        run("pytest -q -p no:cacheprovider --handshake-json tests.json test_syn.py", cwd)
        found["tests"] = (cwd / "tests.json").read_text("utf-8")
        run(f"{COMMANDS['run'][0]} --out record", cwd)
        found["events"] = (cwd / "record" / "events.jsonl").read_text("utf-8")
    return found


def read(text: str) -> Any:
    """A document, with decimals as they are written."""
    return json.loads(text, parse_float=lambda digits: f"{_NUMBER}{digits}")


def written(document: Any) -> str:
    """A document that `read` has read, indented."""
    text = json.dumps(document, indent=2, ensure_ascii=False)
    return re.sub(rf'"{_NUMBER}([^"]*)"', r"\1", text)


def abridged(value: Any, shown: int = SHOWN) -> Any:
    """A document with the first items of its lists; then how many more there are."""
    if isinstance(value, dict):
        return {key: abridged(each, shown) for key, each in value.items()}
    if isinstance(value, list):
        more = [f"… {len(value) - shown} more"] if len(value) > shown else []
        return [abridged(each, shown) for each in value[:shown]] + more
    return value


def of_any_machine(document: Any) -> Any:
    """Of the documents about a machine, the part that others have, too: the lab kernel."""
    if document["document"] == "doctor":
        return document | {"kernels": {"lab": document["kernels"]["lab"]}}
    if document["document"] == "kernels":
        return document | {"kernels": [each for each in document["kernels"] if each["current"]][:1]}
    return document


def first_of_each_type(lines: str) -> list[str]:
    """The first line of each type in a record, as it was written but for frames."""
    found: dict[str, str] = {}
    for line in lines.splitlines():
        observation = json.loads(line)
        if "frame" in observation:
            observation["frame"] = observation["frame"][:12] + "…"
        found.setdefault(observation["type"], json.dumps(observation, ensure_ascii=False))
    return list(found.values())


def described(document: type[Document]) -> str:
    """A document's own description and those of the values in it, from its schema."""
    schema = json.loads((FOLDER / f"{kind_of(document)}.schema.json").read_text("utf-8"))
    definitions = schema["$defs"]
    paragraphs = [definitions[document.__name__]["description"]]
    for name, definition in definitions.items():
        if name != document.__name__ and "description" in definition and "properties" in definition:
            fields = ", ".join(f"`{field}`" for field in definition["properties"])
            paragraphs.append(f"- {fields}: {' '.join(definition['description'].split())}")
    return "\n".join([" ".join(paragraphs[0].split()), "", *paragraphs[1:]]).rstrip()


def section(document: type[Document], example: Any) -> str:
    """A document's section of the page."""
    kind = kind_of(document)
    commands = ", ".join(f"`{command}`" for command in COMMANDS[kind])
    shown = written(abridged(of_any_machine(example)))
    schema = f"../../harness/handshake_lab/report/export/schemas/{kind}.schema.json"
    return f"\n### {kind}\n\n{commands}; [schema]({schema})\n\n{described(document)}\n\n```json\n{shown}\n```\n"


def codes() -> str:
    """The tables of all codes."""
    tables = {
        "Verdicts (`verdict`)": messages.SUMMARIES,
        "Findings (`verdict.findings`)": messages.FINDINGS,
        "Causes (`cause`)": {messages.CALL: "the system call as the program made it: connect()", **messages.CAUSES},
        "Objections (`objections` and `objection`)": messages.OBJECTIONS,
        "Discarded segments (`ignored`)": messages.IGNORED,
    }
    return "\n## Codes\n\nParts in braces are filled in.\n" + "".join(
        f"\n### {heading}\n\n| code | text |\n|---|---|\n{rows(table)}" for heading, table in tables.items()
    )


def rows(table: Mapping[str, str]) -> str:
    """Codes and texts as rows of a table."""
    return "".join(f"| `{code}` | {inspect.cleandoc(text)} |\n" for code, text in table.items())


def page(examples: Mapping[str, str]) -> str:
    """The whole page, with what `printed` returns."""
    order = list(COMMANDS)
    text = BEGINNING
    events = "\n".join(first_of_each_type(examples["events"]))
    for placeholder, value in {"version": FORMAT_VERSION, "shown": SHOWN, "events": events}.items():
        text = text.replace(f"{{{placeholder}}}", str(value))
    for document in sorted(DOCUMENTS, key=lambda each: order.index(kind_of(each))):
        text += section(document, read(examples[kind_of(document)])).replace(str(Path.home()), "~")
    return text + codes()


if __name__ == "__main__":
    PAGE.write_text(page(printed()), "utf-8")
