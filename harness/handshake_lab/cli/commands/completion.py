"""handshake completion: what a shell needs to complete the command line."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script for completion in a shell.

    The shell then completes verbs and options with the Tab key, once it has read the script: bash and zsh by a line
    such as 'source ~/.handshake.bash' in their start-up file, fish from its directory of completions.

    \b
    Examples:
      handshake completion bash > ~/.handshake.bash
      handshake completion zsh > ~/.handshake.zsh
      handshake completion fish > ~/.config/fish/completions/handshake.fish
    """
    from click.shell_completion import get_completion_class

    made_by = get_completion_class(shell)
    if made_by is not None:  # click knows the shells of the choice above
        click.echo(made_by(context.find_root().command, {}, "handshake", "_HANDSHAKE_COMPLETE").source())
