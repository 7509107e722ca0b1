"""A finding as a test: the explored test's file, with the faults that break it, and without other tests."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from handshake_lab.plan import units
from handshake_lab.plan.fault_text import PROGRAM_ACTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

    from handshake_lab.explore.finding import Finding
    from handshake_lab.plan.fault import Fault

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def source(item: pytest.Function, finding: Finding) -> str:
    """The source of a test file that fails like the finding."""
    text = item.path.read_text("utf-8")
    tree = ast.parse(text)
    lines = text.splitlines()
    chain = [*(part.partition("[")[0] for part in item.nodeid.split("::")[1:-1]), item.originalname]
    function = _inside(tree, chain)
    faults = _calls(finding.faults)
    if "net" in [argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)]:
        indent = " " * function.body[0].col_offset
        _insert(lines, function, [indent + call for call in faults])
    else:
        names = ", ".join(f'"{_optional(fault, index)}"' for index, fault in enumerate(finding.faults))
        indent = " " * function.col_offset
        lines[_first_line(function)] = (
            f"{indent}@pytest.mark.handshake(faults=[{names}])\n" + lines[_first_line(function)]
        )
    for first, last in _other_tests(tree, chain):
        lines[first:last] = [None] * (last - first)  # type: ignore[list-item]
    kept = "\n".join(line for line in lines if line is not None)
    return f"{_heading(item, finding)}\n{kept.rstrip()}\n"


def _heading(item: pytest.Function, finding: Finding) -> str:
    message = [f"# {line}".rstrip() for line in finding.failed.text.splitlines()[:12]]
    return "\n".join(
        [
            f"# Found by: handshake explore {item.nodeid}",
            "# The test fails if " + " and ".join(f"'{fault}'" for fault in finding.faults) + ":",
            *message,
        ]
    )


def call(fault: Fault, *, optional: bool = False) -> str:
    """A fault as a call of a test's network: ``net.drop("FIN", nth=2, from_="h1")``."""
    if fault.action in PROGRAM_ACTIONS:
        return f'net.fault("{fault}{" optional" if optional else ""}")'
    words = [f'"{fault.kind}"']
    if fault.action == "delay":
        words.append(f'"{units.show_duration(fault.by)}"')
    if fault.action == "inject":
        words += [f'to="{fault.receiver}"', f'on="{fault.on}"']
    if fault.nth:
        words.append(f"nth={fault.nth[0] if len(fault.nth) == 1 else fault.nth}")
    words += [f'from_="{fault.sender}"'] if fault.sender else []
    words += ["optional=True"] if optional else []
    return f"net.{fault.action}({', '.join(words)})"


def _calls(faults: Sequence[Fault]) -> list[str]:
    """A call for each fault. If the bug is fixed, faults after the first may match no segment."""
    return [call(fault, optional=index > 0) for index, fault in enumerate(faults)]


def _optional(fault: Fault, index: int) -> str:
    return f"{fault} optional" if index else str(fault)


def _inside(tree: ast.Module, chain: list[str]) -> _Function:
    """The function of a test, by the names of its classes and its own."""
    body: Sequence[ast.stmt] = tree.body
    for name in chain[:-1]:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == name)
    return next(node for node in body if isinstance(node, _Function) and node.name == chain[-1])


def _insert(lines: list[str], function: _Function, inserted: list[str]) -> None:
    """Insert lines at the beginning of a function, after its docstring."""
    first = function.body[0]
    is_docstring = ast.get_docstring(function) is not None
    at = (first.end_lineno or first.lineno) - 1 if is_docstring else first.lineno - 2
    lines[at] = "\n".join([lines[at], *inserted])


def _first_line(node: _Function | ast.ClassDef) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)]) - 1


def _other_tests(tree: ast.Module, chain: list[str]) -> Iterator[tuple[int, int]]:
    """The lines of all tests but one."""
    body: Sequence[ast.stmt] = tree.body
    for name in chain:
        following: Sequence[ast.stmt] = ()
        for node in body:
            if not isinstance(node, _Function | ast.ClassDef):
                continue
            if node.name == name:
                following = node.body
            elif node.name.startswith(("test", "Test")):
                yield _first_line(node), node.end_lineno or node.lineno
        body = following
