"""The lines of ``events.jsonl``: every type, its fields and what they mean, from the classes that read them."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING

import msgspec
from handshake_lab.recording import observations

if TYPE_CHECKING:
    from collections.abc import Iterator


def sections() -> str:
    """All of them: a section for each type of line, then for the values inside of them."""
    module = ast.parse(inspect.getsource(observations))
    comments = dict(_comments(inspect.getsource(observations).splitlines()))
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    lines: list[str] = []
    values: list[str] = []
    for name, node in classes.items():
        kind = getattr(observations, name)
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or name.startswith("_"):
            continue
        tag = kind.__struct_config__.tag
        section = _section(f"`{tag}`" if tag else name, node, comments)
        (lines if tag else values).append(section)
    return "\n".join(lines) + "\n## Values in them\n\n" + "\n".join(values).replace("\n## ", "\n### ")


def _section(heading: str, node: ast.ClassDef, comments: dict[int, str]) -> str:
    rows = "".join(_rows(node, comments))
    described = inspect.cleandoc(ast.get_docstring(node) or "")
    return f"\n## {heading}\n\n{described}\n\n| field | type | default | |\n|---|---|---|---|\n{rows}"


def _rows(node: ast.ClassDef, comments: dict[int, str]) -> Iterator[str]:
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            default = f"`{ast.unparse(field.value)}`" if field.value is not None else ""
            kind = ast.unparse(field.annotation).replace("|", "\\|")
            comment = comments.get(field.end_lineno or 0) or comments.get(-field.lineno, "")
            yield f"| `{field.target.id}` | `{kind}` | {default} | {comment.replace('|', chr(92) + '|')} |\n"


def _comments(source: list[str]) -> Iterator[tuple[int, str]]:
    """The descriptions of fields: after a line (by its number), or above one (by its number, negative)."""
    above: list[str] = []
    for number, line in enumerate(source, 1):
        if re.match(r"\s+#: ", line):
            above.append(line.partition("#: ")[2])
            continue
        if above:
            yield -number, " ".join(above)
            above = []
        if "  #: " in line:
            yield number, line.partition("  #: ")[2]
