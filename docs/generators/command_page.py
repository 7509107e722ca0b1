"""The page of all commands, from the help texts that the command line prints."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING

import click
from handshake_lab.cli.main import command

if TYPE_CHECKING:
    from collections.abc import Iterator


def sections() -> str:
    """All of them: a section for each verb, in the order of the help text."""
    return "\n".join(_sections(command, "handshake", 2))


def _sections(group: click.Group, name: str, level: int) -> Iterator[str]:
    context = click.Context(group, info_name=name)
    for verb in group.list_commands(context):
        found = group.get_command(context, verb)
        if found is None or found.hidden:
            continue
        full = f"{name} {verb}"
        yield f"{'#' * level} {full}\n"
        yield described(found, click.Context(found, info_name=full))
        if isinstance(found, click.Group):
            yield from _sections(found, full, level + 1)


def described(verb: click.Command, context: click.Context) -> str:
    """The description of a verb, its usage and its options."""
    usage = " ".join(verb.collect_usage_pieces(context))
    parts = [*_paragraphs(inspect.cleandoc(verb.help or "")), f"```text\n{context.info_name} {usage}\n```"]
    rows = [record for option in verb.get_params(context) if (record := option.get_help_record(context))]
    if rows:
        table = "".join(f"| {_cell(f'`{names}`')} | {_cell(text)} |\n" for names, text in rows)
        parts.append(f"| option | |\n|---|---|\n{table}")
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a help text; those that click prints as they are (after a backspace) become blocks of code."""
    for paragraph in re.split(r"\n\s*\n", text):
        if not paragraph.startswith("\b\n"):
            yield _outside_of_code(paragraph)
            continue
        heading, _, lines = paragraph.removeprefix("\b\n").partition("\n")
        heading = _outside_of_code(heading)
        kind = "bash" if heading.startswith(("Examples", "First steps")) else "text"
        yield f"{heading}\n\n```{kind}\n{inspect.cleandoc(lines)}\n```"


def _cell(text: str) -> str:
    return _outside_of_code(text.replace("|", "\\|").replace("\n", " "))


def _outside_of_code(text: str) -> str:
    """Characters that Markdown or HTML would interpret, as themselves; what stands in backticks is left as it is."""
    parts = re.split(r"(`[^`]*`)", text)
    text = "".join(part if part.startswith("`") else re.sub(r"([<*_\[])", r"\\\1", part) for part in parts)
    return re.sub(r"\bdocs/([\w/-]+\.md)", r"[\1](../\1)", text)
