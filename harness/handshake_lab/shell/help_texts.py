"""The help of the shell."""

from __future__ import annotations

#: Each command: its syntax, what it does, an example. The order is that of the help.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "HOST": (
        "HOST COMMAND [&]",
        "run a program in a host; it is interrupted by the first segment that waits",
        "h1 curl -s h2",
    ),
    "step": ("step [N]", "deliver the segment that waits (N of them); if none does, go on to the next", "step 3"),
    "step until": (
        "step until STATE on HOST",
        "deliver segments until a socket is in a state",
        "step until ESTABLISHED on h2",
    ),
    "drop": ("drop", "lose the segment that waits", "drop"),
    "delay": ("delay TIME", "deliver it later", "delay 300ms"),
    "duplicate": ("duplicate", "deliver it twice", "duplicate"),
    "corrupt": ("corrupt", "damage it, so that its receiver drops it", "corrupt"),
    "rst": ("rst", "deliver it, followed by a RST that fits the connection", "rst"),
    "run": ("run [TIME]", "deliver all segments for a time, or until all programs have ended", "run 30s"),
    "run until": (
        "run until STATE on HOST",
        "deliver all segments until a socket is in a state",
        "run until CLOSED on h1",
    ),
    "back": ("back [N | #SEGMENT]", "go back by N commands, or to where a segment waited", "back #2"),
    "moments": ("moments", "list the commands that led here, with their times", "moments"),
    "diff": ("diff", "compare this future with the one that back has left", "diff"),
    "ladder": ("ladder", "draw all segments and states so far", "ladder"),
    "sockets": ("sockets", "show all sockets, as each observer reported them last", "sockets"),
    "why": ("why", "show the last transition and its cause", "why"),
    "save": ("save FILE", "write a pytest test that does the same", "save test_handshake.py"),
    "nodes": ("nodes", "list the nodes", "nodes"),
    "net": ("net", "list the nodes with their links", "net"),
    "links": ("links", "list the links", "links"),
    "pingall": ("pingall", "ping every host from every host", "pingall"),
    "py": ("py CODE", "run Python with net and the hosts (docs/reference/net.md)", "py net.one_way"),
    "help": ("help [COMMAND]", "this list, or one command", "help step"),
    "exit": ("exit", "end (also quit, Ctrl-D)", "exit"),
}


def help_lines(of: str = "") -> list[str]:
    """All commands, or those that begin with a word, with an example.

    Returns:
        Nothing if there is no such command.
    """
    if of:
        found = [each for word, each in COMMANDS.items() if word.split()[0] == of]
        return [line for syntax, text, example in found for line in (syntax, f"  {text}", f"  For example: {example}")]
    width = max(len(syntax) for syntax, _, _ in COMMANDS.values())
    return [
        *(f"{syntax:{width}}  {text}" for syntax, text, _ in COMMANDS.values()),
        "",
        "The clock stands between two commands. help COMMAND shows an example.",
    ]
