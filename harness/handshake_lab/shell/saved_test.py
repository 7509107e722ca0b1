"""A session as a pytest test that does the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from handshake_lab.recording.history import Record

_TEMPLATE = '''"""Saved by `handshake shell`."""

import pytest


@pytest.mark.handshake({settings})
def test_{name}(net):
    """The same segments and states as in the session."""
    net.play(
{commands}
    )

    record = net.record()
    assert [(segment.sender, segment.name, segment.lost) for segment in record.segments] == [
{segments}
    ]
    assert [(endpoint.node, " ".join(endpoint.states)) for endpoint in record.endpoints] == [
{states}
    ]
'''


def saved_test(
    name: str,
    commands: Sequence[str],
    record: Record,
    *,
    topology: str,
    links: Sequence[str],
    sysctls: Mapping[str, str],
    seed: int,
) -> str:
    """The text of the test.

    Args:
        name: Of the test, without ``test_``.
        commands: All commands of the session.
        record: The record up to its present moment.
        topology: Of the session.
        links: Impairments, as for ``--link``.
        sysctls: Settings of hosts and routers.
        seed: Of the kernel.
    """
    settings = [f"topology={_literal(topology)}"] if topology != "pair" else []
    settings += [f"links={_literal(list(links))}"] if links else []
    settings += [f"sysctls={_literal(dict(sysctls))}"] if sysctls else []
    settings.append(f"seed={seed}")
    return _TEMPLATE.format(
        settings=", ".join(settings),
        name=name,
        commands="\n".join(f"        {_literal(command)}," for command in commands),
        segments="\n".join(f"        {_literal((each.sender, each.name, each.lost))}," for each in record.segments),
        states="\n".join(f"        {_literal((each.node, ' '.join(each.states)))}," for each in record.endpoints),
    )


def _literal(value: object) -> str:
    """A value in Python's notation, with the quotation marks that formatters write."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_literal, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_literal(key)}: {_literal(each)}' for key, each in value.items())}}}"
    text = repr(value)
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text


def name_of_test(file: Path) -> str:
    """The name of the test in a file, without ``test_``: that of the file, as far as Python permits it.

    Raises:
        UsageError: The file is not one of Python.
    """
    if file.suffix != ".py":
        raise UsageError("save", str(file), "is not the name of a Python file", "save test_handshake.py")
    return re.sub(r"\W", "_", file.stem).removeprefix("test_") or "session"
