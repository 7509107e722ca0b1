"""The pages of the runs in the served folder, and their index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import quote

import msgspec

from handshake_lab.errors import HandshakeError
from handshake_lab.experiment.under_way import Undecided, with_under_way
from handshake_lab.plan.load_topology import MODULES
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import parse
from handshake_lab.recording.observations import Failure
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.report.html.index import RunRow, index, run
from handshake_lab.report.html.page import page
from handshake_lab.report.html.rendering import Served, render
from handshake_lab.report.html.run_facts import headline
from handshake_lab.report.text.translations import words
from handshake_lab.serve.changes import state_of
from handshake_lab.serve.what_if import can_be_had_again
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.recording.events_file import StoredEvents
    from handshake_lab.recording.history import Record
    from handshake_lab.serve.folder import Folder, FoundFile
    from handshake_lab.shell.session import Setting

#: How the server's own templates are found.
PACKAGE = "handshake_lab.serve"
#: The languages, each by its name in itself.
_LANGUAGES = (("en", "English"), ("ko", "한국어"))


class Startable(Protocol):
    """The course units of the folder."""

    def listed(self, lang: str) -> list[tuple[str, str]]:
        """The units that can be started: names and titles."""
        ...

    def started(self) -> list[str]:
        """The directories of units that were started."""
        ...


class Frame(msgspec.Struct, frozen=True):
    """What every page of the server has in common.

    Attributes:
        root: The path of the server's pages, with the token.
        lang: The language of the page.
        here: The path of the page below its language.
        watched: The name of what it shows, whose changes are shown; "" for everything, None for nothing.
        state: The state of that when the page was made.
    """

    root: str
    lang: str
    here: str = ""
    watched: str | None = None
    state: str = ""

    def watching(self, name: str, found: Mapping[str, object]) -> Self:
        """The same for a page that shows what has a name."""
        return msgspec.structs.replace(self, watched=name, state=state_of(found, name))

    def served(self, template: str, **values: object) -> Served:
        """How the server shows a page."""
        common = {
            "root": self.root,
            "home": f"{self.root}/{self.lang}/",
            "here": self.here,
            "watched": self.watched,
            "state": self.state,
            "languages": [
                (lang, f"{self.root}/{lang}/{self.here}", name) for lang, name in _LANGUAGES if lang != self.lang
            ],
        }
        return Served(PACKAGE, template, f"{self.root}/files/", common | values)


def own_page(template: str, frame: Frame, **values: Any) -> str:
    """A page of the server that is not one of a report."""
    return render(template, words(frame.lang), served=frame.served(template), **values)


def address_of(name: str) -> str:
    """The address of a run below the language: the name of its directory, which is "." for the folder itself."""
    return f"runs/{quote('' if name == '.' else name)}"


def name_of(address: str) -> str:
    """The name of a run in an address: the reverse of `address_of`."""
    return address or "."


class StoredPages:
    """Renders runs of a folder; the row of each run in the index is made once for each state of its file.

    Args:
        folder: The folder.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._rows: dict[tuple[str, str, FoundFile], RunRow] = {}

    def events(self, name: str) -> StoredEvents:
        """What was recorded of a run up to now.

        Raises:
            RecordUnreadable: It is damaged, too long, or gone.
        """
        return parse(self._folder.read(name), Path(name) / EVENTS)

    def record(self, name: str) -> Record:
        """The record of a run up to now.

        Raises:
            RecordUnreadable: It is damaged, too long, or gone.
        """
        return reconcile(self.events(name).observations)

    def run_page(self, name: str, frame: Frame, *, again: bool) -> str:
        """The page of a run.

        Args:
            name: Its directory.
            frame: What all pages have in common.
            again: Whether runs can be had again with another fate of a segment.

        Raises:
            RecordUnreadable: It is damaged, too long, or gone.
        """
        events = self.events(name)
        record = reconcile(events.observations)
        if not record.complete:
            # It may go on: what has not arrived, and was not overtaken, is not known to be lost.
            record = with_under_way(record, Undecided(in_flight=1))
        served = frame.served("served_run.html.j2", again=again and can_be_had_again(record))
        title = self._folder.path.name if name == "." else name
        return page(
            record, events.observations, title=title, verdict=judge(record), back=f"{frame.root}/{frame.lang}/",
            lang=frame.lang, served=served,
        )  # fmt: skip

    def index_page(
        self,
        found: Mapping[str, FoundFile],
        frame: Frame,
        sessions: Sequence[tuple[str, Setting]] | None,
        units: Startable | None,
    ) -> str:
        """The index of the runs that were found, of sessions and course units; None: there cannot be any."""
        rows = {(name, frame.lang, state): self._row(name, state, frame) for name, state in found.items()}
        # Rows of runs that are gone, or have changed, are not needed any more.
        self._rows = {key: row for key, row in self._rows.items() if key[1] != frame.lang} | rows
        served = frame.served("served_index.html.j2", sessions=sessions, topologies=sorted(MODULES),
            started=[(each, quote(each)) for each in units.started()] if units else [],
            units=units.listed(frame.lang) if units else [],
        )  # fmt: skip
        return index(list(rows.values()), title=self._folder.path.name or "/", lang=frame.lang, served=served)

    def _row(self, name: str, state: FoundFile, frame: Frame) -> RunRow:
        known = self._rows.get((name, frame.lang, state))
        if known is not None:
            return known
        href = f"{frame.root}/{frame.lang}/{address_of(name)}"
        try:
            observations = self.events(name).observations
            record = reconcile(observations)
        except HandshakeError as error:
            return RunRow(name, "failed", href, str(error))
        verdict = judge(record)
        failed = not verdict.ok or any(isinstance(each, Failure) for each in observations)
        summary = headline(observations, verdict, words(frame.lang))
        return run(name, "failed" if failed else "recorded", record, href=href, summary=summary)
