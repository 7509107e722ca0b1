"""A session of the shell: commands in, lines out. The prompt and files of commands both use it."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 -- dataclass reads the annotations
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan.shell_command import ACTING, ShellCommand
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.report.terminal.ladder import text as ladder_text
from handshake_lab.report.text.times import clock
from handshake_lab.shell import views
from handshake_lab.shell.help_texts import help_lines
from handshake_lab.shell.saved_test import name_of_test, saved_test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.plan.network_plan import NetworkPlan
    from handshake_lab.recording.history import Record
    from handshake_lab.shell.moments import Moment, Moments

#: How many characters of a running command are shown.
_NAME = 32
#: How many steps are made to reach a segment that passed during ``run``.
_MOST_STEPS = 200


def write_new(name: str, text: str) -> None:
    """Write a new file.

    Raises:
        UsageError: It exists, or cannot be written.
    """
    try:
        file = Path(name).open("x", encoding="utf-8")  # noqa: SIM115 -- closed below, before it is removed
        try:
            with file:
                file.write(text)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except FileExistsError:
        raise UsageError("save", name, "exists already", "save test_another.py") from None
    except OSError as error:
        raise UsageError("save", name, f"cannot be written ({error.strerror})", "save test_it.py") from None


@dataclass(frozen=True, slots=True)
class Setting:
    """The network of a session, as it was asked for.

    Attributes:
        planned: The network.
        topology: Its name or file.
        links: Impairments, as for ``--link``.
        sysctls: Settings of hosts and routers.
        seed: Of the kernel.
        lang: The language of ladders.
        write: Writes a new file that is to be saved, given its name and text.
        out: The directory that has the record up to the present moment, for programs that follow it; None: none has.
    """

    planned: NetworkPlan
    topology: str
    links: Sequence[str]
    sysctls: Mapping[str, str]
    seed: int
    lang: str = "en"
    write: Callable[[str, str], None] = write_new
    out: Path | None = None


class Session:
    """Executes commands of the shell, one line each.

    Args:
        moments: The parked runs.
        setting: The network.

    Attributes:
        now: The present moment.
        hosts: The names of the hosts.
        ended: Whether the session was ended.
        left: The future that the last ``back`` has left; None before.
    """

    def __init__(self, moments: Moments, setting: Setting) -> None:
        self.now: Moment = moments.first
        self.ended = False
        self.hosts = [name for name, node in setting.planned.nodes.items() if node.kind == "host"]
        self._moments = moments
        self._setting = setting
        self.left: Moment | None = None
        self._views: dict[str, Callable[[str], list[str]]] = {
            "nodes": lambda _: [" ".join(setting.planned.nodes)],
            "net": lambda _: views.network_lines(setting.planned),
            "links": lambda _: views.link_lines(setting.planned),
            "ladder": lambda _: self._ladder(),
            "sockets": lambda _: views.socket_lines(moments.observations(self.now), self._record()),
            "why": lambda _: views.why_lines(self._record()),
            "moments": lambda _: self._listed(),
            "diff": lambda _: self._difference(),
            "back": self._back,
            "save": self._save,
            "help": self._help,
            "exit": lambda _: self._end(),
            "quit": lambda _: self._end(),
        }

    @property
    def words(self) -> list[str]:
        """All words that a command can begin with."""
        return sorted({*self.hosts, *ACTING, *self._views})

    def execute(self, line: str) -> list[str]:
        """Execute a line; empty ones and comments (``#``) do nothing.

        Raises:
            HandshakeError: It is not a command, or has failed: the present moment is still the one before.
        """
        line = line.strip()
        if not line or line.startswith("#"):
            return []
        word, _, rest = line.partition(" ")
        if word in self._views and word not in self.hosts:
            if rest and word not in ("back", "save", "help"):
                raise UsageError(word, rest.strip(), "is not needed", word)
            return self._views[word](rest.strip())
        ShellCommand.parse(line, self.hosts)
        self._continue_at(self._moments.after(self.now, line))
        return [*self.now.answer.text.splitlines(), self.standing()]

    def standing(self) -> str:
        """Where the session is: the clock, the segment that waits, the programs that run."""
        answer = self.now.answer
        waiting = views.waiting_line(answer.undecided.waiting, self.now.number)
        names = [name if len(name) <= _NAME else f"{name[: _NAME - 1]}…" for name in answer.running]
        running = f" (running: {'; '.join(names)})" if names else ""
        return f"[{clock(answer.now)} s] {waiting}{running}"

    def _record(self) -> Record:
        return self._moments.record(self.now)

    def _ladder(self) -> list[str]:
        # Without the remark that its run did not end.
        record = msgspec.structs.replace(self._record(), complete=True)
        return [*ladder_text(record, lang=self._setting.lang).splitlines(), "", self.standing()]

    def _listed(self) -> list[str]:
        way = self.now.way()[1:]
        return [f"{number:3}  {clock(each.answer.now)} s  {each.command}" for number, each in enumerate(way, 1)]

    def _difference(self) -> list[str]:
        if self.left is None:
            raise UsageError("command", "diff", "needs another future, which back leaves", "back #2")
        return views.difference_lines(self._moments.record(self.left), self._record())

    def _back(self, rest: str) -> list[str]:
        way = self.now.way()
        found: Moment | None = None
        if rest.startswith("#"):
            found = next((each for each in way[:-1] if rest == f"#{each.number}"), None) or self._reached(rest)
        elif not rest or (rest.isascii() and rest.isdigit() and int(rest)):
            count = int(rest or 1)
            found = way[-1 - count] if count < len(way) else None
        if found is None:
            raise UsageError("back", rest, "is not an earlier moment; moments lists them", "back 2")
        left = self.now
        self._continue_at(found)
        self.left = left
        return [self.standing()]

    def _reached(self, label: str) -> Moment | None:
        """The moment at which a segment waited that passed during ``run``: it is reached again step by step."""
        sent = next((each.sent for each in self._record().segments if label == f"#{each.number}"), None)
        if sent is None:
            return None
        moment: Moment | None = next((each for each in self.now.way()[::-1] if each.answer.now <= sent), None)
        for _ in range(_MOST_STEPS):
            if moment is None or label == f"#{moment.number}":
                return moment
            moment = self._moments.after(moment, "step")
        return None

    def _save(self, rest: str) -> list[str]:
        if not rest:
            raise UsageError("command", "save", "names no file", "save test_handshake.py")
        file = Path(rest)
        setting = self._setting
        text = saved_test(
            name_of_test(file),
            self.now.commands,
            self._record(),
            topology=setting.topology,
            links=setting.links,
            sysctls=setting.sysctls,
            seed=setting.seed,
        )
        setting.write(rest, text)
        return [f"saved; run it with: pytest {rest}"]

    def _help(self, rest: str) -> list[str]:
        lines = help_lines("HOST" if rest in self.hosts else rest)
        if not lines:
            raise UsageError("help", rest, "is not a command", "help step")
        return lines

    def _continue_at(self, moment: Moment) -> None:
        """Make a moment the present one, and write the record up to it in place of the one before, as a whole.

        Raises:
            UsageError: It cannot be written: the present moment is still the one before.
        """
        if (out := self._setting.out) is not None:
            new = out / f".{EVENTS}"
            content = self._moments.events(moment)
            try:
                try:
                    new.write_bytes(content)
                    new.replace(out / EVENTS)
                except BaseException:
                    new.unlink(missing_ok=True)
                    raise
            except OSError as error:
                raise UsageError("--out", str(out), f"cannot be written ({error.strerror})", "--out my-run") from None
        self.now = moment

    def _end(self) -> list[str]:
        self.ended = True
        return []
