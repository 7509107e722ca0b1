"""Steps of a run as text: what the hosts' sockets do, one after the other.

    h2 listen 80
    h1 connect h2:80
    h2 accept
    h1 send 17
    h2 read 17
    h1 close
    wait closed

A host has one connection and one listener, unless they are named: ``h1.second connect h2:80``. Pure;
`handshake_lab.experiment.workloads.steps` carries steps out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.nearest_name import hint
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from handshake_lab.plan.network_plan import NetworkPlan

#: The verbs with their arguments, for docs and messages.
VERBS = {
    "listen": "PORT [backlog=N]",
    "connect": "HOST:PORT [from=PORT] [begin] [timeout=TIME]",
    "accept": "",
    "send": "BYTES",
    "read": "BYTES | end",
    "shutdown": "",
    "close": "",
    "abort": "",
    "stop": "",
    "set": "OPTION=N …",
    "udp": "PORT",
    "send-to": "HOST:PORT BYTES",
    "receive": "",
}
#: Options of ``set``, by name; `handshake_lab.experiment.workloads.steps` knows their numbers.
OPTIONS = ("keepalive", "idle", "interval", "probes", "nodelay", "reuse", "user-timeout", "receive-buffer")
_SUBJECT = re.compile(r"(?P<host>\w+)(?:\.(?P<name>[\w-]+))?")
_ADDRESS = re.compile(r"[\w.]+:\d+")
_EXAMPLE = "h1 connect h2:80"


class Step(msgspec.Struct, frozen=True):
    """One step: a call on a socket of a host, or a wait.

    Attributes:
        text: The step as written.
        host: The host; "" for a wait.
        name: The name of its socket; "" for the host's unnamed one.
        verb: One of `VERBS`, or "wait".
        target: The port, the address, the number of bytes, or what is waited for.
        options: Further arguments by name; flags have the value "".
    """

    text: str
    host: str
    name: str
    verb: str
    target: str = ""
    options: dict[str, str] = {}

    @classmethod
    def parse(cls, text: str) -> Self:
        """A step as written.

        Raises:
            UsageError: It is invalid.
        """
        words = text.split()
        if words[0] == "wait":
            return cls._wait(text, words[1:])
        subject = _SUBJECT.fullmatch(words[0])
        verb = words[1] if len(words) > 1 else ""
        if subject is None or verb not in VERBS:
            raise UsageError("steps", text, f"is not a step ({hint(verb, (*VERBS, 'wait'))})", _EXAMPLE)
        rest = words[2:]
        pairs = dict(word.partition("=")[::2] for word in rest if "=" in word or word == "begin")
        plain = [word for word in rest if word not in pairs and "=" not in word]
        step = cls(text, subject["host"], subject["name"] or "", verb, " ".join(plain), pairs)
        step._check()
        return step

    @classmethod
    def _wait(cls, text: str, words: list[str]) -> Self:
        if len(words) == 2 and words[0] != "closed" and words[1] not in set(State):
            raise UsageError("steps", text, f"{words[1]!r} is not a state of TCP", "wait h1 TIME-WAIT")
        if not 1 <= len(words) <= 2:
            raise UsageError("steps", text, "is not a wait", "wait 500ms, wait closed, wait h1 TIME-WAIT")
        if len(words) == 1 and words[0] != "closed":
            units.duration("steps", words[0])
        return cls(text, "", "", "wait", " ".join(words))

    def _check(self) -> None:
        wanted = VERBS[self.verb]
        allowed = {*re.findall(r"\[([\w-]+)", wanted)} if self.verb != "set" else set(OPTIONS)
        unknown = set(self.options) - allowed
        if unknown:
            name = min(unknown)
            raise UsageError("steps", self.text, f"{name!r} is unknown: {self.verb} {wanted}", _EXAMPLE)
        first = wanted.split()[0] if wanted and not wanted.startswith(("[", "OPTION")) else ""
        words = self.target.split()
        number = words[-1].isdigit() if words else False
        right = {
            "": not words,
            "PORT": len(words) == 1 and number,
            "BYTES": len(words) == 1 and (number or (self.verb == "read" and words == ["end"])),
            "HOST:PORT": bool(words)
            and _ADDRESS.fullmatch(words[0]) is not None
            and len(words) == (2 if self.verb == "send-to" else 1)
            and (self.verb != "send-to" or number),
        }[first]
        if not right:
            raise UsageError("steps", self.text, f"is not complete: {self.verb} {wanted}", _EXAMPLE)

    def check(self, planned: NetworkPlan) -> None:
        """Check that its hosts exist.

        Raises:
            UsageError: One does not.
        """
        if self.host:
            planned.node(self.host, f"steps: {self.text}")


def parse_steps(text: str) -> tuple[Step, ...]:
    """Steps as written, one a line; empty lines, and what follows a ``#``, are left out.

    Raises:
        UsageError: One is invalid.
    """
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(Step.parse(line) for line in lines if line)
