"""Commands as they can be pasted where they are read: ``./handshake demo`` in a checkout."""

from __future__ import annotations

import os
import re
import shlex

#: Set by the script ./handshake: the path by which it was called.
CALLED_AS = "HANDSHAKE_CALLED_AS"
_VERB = re.compile(r"(?<![\w./-])handshake (?=[a-z])")
_PYTEST = re.compile(r"^pytest ")


def as_typed(text: str) -> str:
    """A text with its commands as this program was called; unchanged where it was called by its name."""
    called = os.environ.get(CALLED_AS, "")
    return _VERB.sub(lambda _: f"{shlex.quote(called)} ", text) if called else text


def replay_as_typed(command: str) -> str:
    """The command that repeats a run, as `as_typed`; a test of a checkout is run by ``./handshake test``."""
    called = os.environ.get(CALLED_AS, "")
    if called:
        command = _PYTEST.sub(lambda _: f"{shlex.quote(called)} test --no-checks ", command)
    return as_typed(command)
