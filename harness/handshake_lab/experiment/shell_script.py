"""The script of a run for `handshake shell`: it is parked between two commands, and goes on in a fork for the next.

`handshake_lab.shell.moments` forks it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import HandshakeError
from handshake_lab.kernel.lab.branch_point import fork_here, skip_fork
from handshake_lab.kernel.shared.job import BranchPoint

if TYPE_CHECKING:
    from handshake_lab.experiment.net import Net

#: The file among a run's results with the answer to the last commands.
ANSWER = "shell-answer.json"
_PROMPT = BranchPoint("the prompt", ())


def script(net: Net, argument: dict[str, Any]) -> None:
    """The script of a run whose commands arrive while it is parked, as JSON lists; an empty list ends the run.

    Args:
        net: The network.
        argument: ``follow``: commands to execute without parking; the run ends after them.
    """
    session = net.shell
    file = net.results / ANSWER
    follow: list[str] | None = argument.get("follow")
    pending = list(follow or ())
    answer = session.answer("")
    while True:
        # The same steps for each command, however many arrive at once.
        file.write_bytes(msgspec.json.encode(answer))
        if pending or follow is not None:
            skip_fork(_PROMPT, net.reopen)
        else:
            pending = msgspec.json.decode(fork_here(_PROMPT, net.reopen), type=list[str])
        if not pending:
            break
        try:
            answer = session.answer(session.perform(pending.pop(0)))
        except HandshakeError as error:
            answer = session.answer("", error)
    session.close()
