"""The command line: one file per verb, loaded when it is called."""

from __future__ import annotations

import io
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

import click

from handshake_lab.errors import HandshakeError
from handshake_lab.report.text.as_typed import as_typed

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Every verb, in the order of the help text; each is `command` in the module of its name.
VERBS = (
    "demo",
    "record",
    "run",
    "show",
    "diff",
    "report",
    "shell",
    "serve",
    "explore",
    "course",
    "bundle",
    "scenarios",
    "claims",
    "edges",
    "test",
    "docs",
    "topology",
    "kernel",
    "cache",
    "doctor",
    "completion",
    "help",
)

#: The exit status of an exception that is a defect of this program: EX_SOFTWARE of sysexits.h.
DEFECT = 70
#: Below the help of every verb.
_EXIT_STATUS = (
    "Exit status: 0 success, 1 not as documented or failed, 2 wrong usage, 3 not possible on this machine, "
    "130 interrupted. See docs/reference/exit-codes.md."
)


class _Verbs(click.Group):
    """Loads the module of a verb when it is called, so that its imports do not slow down other verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"handshake_lab.cli.commands.{cmd_name}").command
        for each in (command, *(command.commands.values() if isinstance(command, click.Group) else ())):
            each.epilog = _EXIT_STATUS
            each.help = as_typed(each.help or "")
        return command


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-v", "-V", "--version", package_name="handshake-lab", prog_name="handshake")
def command() -> None:
    """See and test what Linux TCP does: real kernels, emulated networks, every state transition recorded.

    \b
    First steps:
      handshake demo                      one connection, from the first SYN to the end of TIME-WAIT
      handshake demo --loss 20% --seed 7  the same with random loss, repeatable to the byte
      handshake doctor                    which kernels this machine can run
    """


def main() -> None:
    """Run the command line. Its exit statuses are listed in docs/reference/exit-codes.md."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character shows another one.
            stream.reconfigure(errors="replace")
    sys.exit(status_of())


def status_of(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command, print its errors, and return its exit status.

    Args:
        arguments: The words after ``handshake``; None: those of this process.
    """
    command.help = as_typed(command.help or "")
    try:
        # A verb returns its exit status; click returns that of --help and --version.
        name = None if arguments is None else "handshake"
        return command.main(args=arguments, prog_name=name, standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return 130
    except HandshakeError as error:
        _say(str(error))
        return error.exit_code
    except BrokenPipeError:
        # The reader of the output has closed it: the status of a shell for SIGPIPE.
        sys.stderr.close()
        return 141
    except Exception:  # noqa: BLE001 -- Python would exit with status 1, which has another meaning here
        traceback.print_exc()
        return DEFECT


def _say(what: str) -> None:
    click.echo(f"handshake: {as_typed(what)}", err=True)
