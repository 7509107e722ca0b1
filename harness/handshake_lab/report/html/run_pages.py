"""Converts a folder of recorded runs to a folder of pages: an index, and one page for each run."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import Failure
from handshake_lab.recording.run_files import EVENTS, PAGE
from handshake_lab.report.html.index import Outcome, RunRow, index, run
from handshake_lab.report.html.page import page
from handshake_lab.report.html.run_facts import headline
from handshake_lab.report.text.translations import words
from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.verdict.expected_states import Covered
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation


def find(folder: Path) -> list[Path]:
    """All directories that contain a run, the folder itself included, in order."""
    return sorted(path.parent for path in folder.rglob(EVENTS))


def write(
    directories: Iterable[Path],
    out: Path,
    *,
    title: str,
    lang: str = "en",
    name: Callable[[Path], str] = lambda path: path.name,
    done: Callable[[], None] = lambda: None,
) -> list[RunRow]:
    """Write the pages of a session: one for each run, and their index, `PAGE`.

    Args:
        directories: The runs' directories.
        out: The directory for the pages; it is created if it does not exist.
        title: What was run.
        lang: ``en`` or ``ko``.
        name: Returns the name of a run, given its directory.
        done: Called after each page, for a progress bar.

    Returns:
        The rows of the index; ``href`` is the file of a run's page.

    Raises:
        RecordUnreadable: A record is damaged, or was written by a newer release.
        OSError: A page cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    runs: list[RunRow] = []
    taken: Counter[str] = Counter()
    for number, directory in enumerate(directories, 1):
        observations = read(directory).observations
        record = reconcile(observations)
        verdict = judge(record)
        called = name(directory)
        file = f"{number:03d}-{re.sub(r'[^A-Za-z0-9._-]+', '-', called)[-80:].strip('-.')}.html"
        html = page(record, observations, title=called, verdict=verdict, back=PAGE, lang=lang)
        (out / file).write_text(html, "utf-8")
        summary = headline(observations, verdict, words(lang))
        runs.append(run(called, _outcome(observations, ok=verdict.ok), record, href=file, summary=summary))
        taken += edges_taken(record)
        done()
    (out / PAGE).write_text(index(runs, title=title, coverage=coverage(taken), lang=lang), "utf-8")
    return runs


def edges_taken(record: Record) -> Counter[str]:
    """How often a run took each edge of the state diagram."""
    return Counter(step.edge for endpoint in record.endpoints for step in endpoint.transitions if step.edge)


def coverage(taken: Counter[str]) -> list[Covered]:
    """All edges that exist in Linux, with how often they were taken."""
    return [Covered(edge.id, edge.old, edge.new, taken[edge.id], edge.section) for edge in EDGES if edge.in_linux]


def _outcome(observations: Iterable[Observation], *, ok: bool) -> Outcome:
    if not ok or any(isinstance(each, Failure) for each in observations):
        return "failed"
    return "recorded"
