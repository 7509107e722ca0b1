"""The notebook view: runs are shown as pictures of their ladders, and ``%handshake`` is the command line.

    %load_ext handshake_lab.notebook
    %handshake demo --fault "drop SYN-ACK nth=1"

What ``handshake_lab.record`` returns is shown in the same way. This module needs IPython, which
``pip install handshake-lab[notebook]`` installs.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError as IPythonUsageError  # it is shown without a traceback
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.display import HTML, display

from handshake_lab.cli.main import status_of
from handshake_lab.reconcile.stored_run import Run
from handshake_lab.recording.history import Record
from handshake_lab.report.html.fragment import fragment
from handshake_lab.report.terminal.ladder import drawn_by, text
from handshake_lab.report.text.language import locale_language
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

#: The exit statuses after which a notebook goes on: success, and a run that is not as documented.
_CONTINUES = (0, 1)
#: What is shown as a run, and how its record is had.
_SHOWN: dict[type, Callable[[Any], Record]] = {Run: lambda run: run.record, Record: lambda record: record}


@magics_class
class HandshakeMagics(Magics):
    """The magic ``%handshake``."""

    @line_magic
    def handshake(self, line: str) -> None:
        """Carry out a command of Handshake Lab: ``%handshake course run``.

        Ladders are pictures, unless ``--plain`` is given. A notebook stops where a command cannot be carried out, and
        goes on after a run that is not as documented.

        Raises:
            IPythonUsageError: The command failed; it has printed why.
        """
        try:
            arguments = shlex.split(line)
        except ValueError as error:
            raise IPythonUsageError(f"handshake {line}: {error}") from None
        with drawn_by(_display):
            status = status_of(arguments)
        if status not in _CONTINUES:
            raise IPythonUsageError(f"handshake {line}: exit status {status}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by ``%load_ext handshake_lab.notebook``."""
    shell.register_magics(HandshakeMagics)
    for kind, record_of in _SHOWN.items():
        _show(shell, "text/html", kind, lambda run, of=record_of: _html(of(run)))
        _show(shell, "text/plain", kind, lambda run, printer, _, of=record_of: printer.text(_text(of(run))))


def _show(shell: InteractiveShell, form: str, kind: type, show: Callable[..., object]) -> None:
    if shell.display_formatter is None:
        raise AssertionError("an interactive shell has formatters")
    shell.display_formatter.formatters[form].for_type(kind, show)


def _display(record: Record, **options: Any) -> None:
    display(HTML(fragment(record, **options)))  # type: ignore[no-untyped-call]


def _html(record: Record) -> str:
    return fragment(record, verdict=judge(record), lang=locale_language())


def _text(record: Record) -> str:
    return text(record, verdict=judge(record), lang=locale_language()).rstrip("\n")
