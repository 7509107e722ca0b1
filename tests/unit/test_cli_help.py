"""What ``--help`` prints: every text is shown as it was written, and every example can be pasted."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from handshake_lab.cli import main
from handshake_lab.plan.fault import Fault
from handshake_lab.plan.link import LinkSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Words that end a command in a shell.
_OPERATORS = {"|", "&&", "||", ";", ">", "<"}


def commands() -> Iterator[tuple[str, ...]]:
    """The words of every command, as in ("kernel", "build")."""
    yield ()
    for verb in main.VERBS:
        yield (verb,)
        command = import_module(f"handshake_lab.cli.commands.{verb}").command
        if isinstance(command, click.Group):
            yield from ((verb, name) for name in command.commands)


def help_of(words: tuple[str, ...]) -> str:
    """What ``--help`` prints, on a terminal that wraps nothing."""
    result = CliRunner().invoke(main.command, [*words, "--help"], terminal_width=1000, max_content_width=1000)
    assert result.exit_code == 0, result.output
    return result.output


def examples() -> Iterator[list[str]]:
    """The words of every example in every help text, without "handshake"."""
    for words in commands():
        text = re.sub(r"\\\n +", "", help_of(words))
        for line in re.findall(r"^ +handshake .*", text, re.MULTILINE):
            part: list[str] = []
            # Two spaces separate a command from what it does.
            for word in [*shlex.split(re.split(" {2,}", line.strip())[0]), ";"]:
                if word not in _OPERATORS:
                    part.append(word)
                    continue
                if part[:1] == ["handshake"]:
                    yield part[1:]
                part = []


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_help_shows_no_markup(words: tuple[str, ...]) -> None:
    r"""Click's \b, which keeps it from wrapping lines, is a control character: in a raw docstring it is printed."""
    text = help_of(words)

    assert "\\b" not in text
    assert "\b" not in text
    assert "`" not in text.replace("`handshake topology list`", "")


@pytest.mark.parametrize("words", [(), ("scenarios",), ("topology",), ("kernel",)], ids=" ".join)
def test_lists_of_commands_have_whole_sentences(words: tuple[str, ...]) -> None:
    """On a terminal of 80 columns, no summary is cut."""
    listed = CliRunner().invoke(main.command, [*words, "--help"], terminal_width=80).output.partition("Commands:")[2]

    assert listed
    assert "..." not in listed


@pytest.mark.parametrize("words", [words for words in commands() if words], ids=" ".join)
def test_help_says_what_exit_statuses_mean(words: tuple[str, ...]) -> None:
    """It also names the page with more details."""
    assert "docs/reference/exit-codes.md" in help_of(words)


@pytest.mark.parametrize("words", [words for words in commands() if words], ids=" ".join)
def test_every_verb_has_an_example(words: tuple[str, ...]) -> None:
    """One line at least that begins with the verb's own words."""
    found = [example[: len(words)] for example in examples()]

    assert list(words) in found


@pytest.mark.parametrize("words", list(examples()), ids=" ".join)
def test_every_example_can_be_pasted(words: list[str]) -> None:
    """Its verb, options, faults and links are read without complaint."""
    command: click.Command = main.command
    context = click.Context(command)
    words = list(words)
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    context = command.make_context(command.name, words)

    for fault in context.params.get("faults", ()):
        Fault.parse(fault)
    for link in context.params.get("links", ()):
        LinkSpec.parse(link)
