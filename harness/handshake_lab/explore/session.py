"""An exploration: the search, the files of its findings, and its summary as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from handshake_lab.explore.choose_workers import chosen
from handshake_lab.explore.explain import inevitable
from handshake_lab.explore.keep import COMPARISON, FINDING, keep, load
from handshake_lab.explore.progress import Progress, line
from handshake_lab.explore.search import explore
from handshake_lab.explore.walk import Walker
from handshake_lab.plan.schedule import Fate

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.explore.explain import Inevitable
    from handshake_lab.explore.finding import Finding
    from handshake_lab.explore.search import Exploration
    from handshake_lab.explore.settings import Settings
    from handshake_lab.explore.target import Target

#: In the directory of a target's findings: the schedules whose runs had a new feature, for the next exploration.
CORPUS = "corpus.json"
#: How many lines of a failure's message are shown.
_LINES = 15


def search_and_keep(
    target: Target, settings: Settings, place: Path, again: Callable[[Finding], str]
) -> tuple[Exploration, str]:
    """Explore a target, and keep its findings.

    Args:
        target: What is explored.
        settings: The settings of the exploration.
        place: The directory for the target's findings.
        again: Returns how to reproduce a finding without an exploration.

    Returns:
        The exploration, and its summary as text.
    """
    before = {file.parent.name for file in place.glob(f"*/{FINDING}")}
    progress = Progress()
    with chosen(target, settings) as workers:
        exploration = explore(workers, settings, progress, _saved(place / CORPUS))
        progress.close()
        text = [_summary(exploration)]
        try:
            for finding in exploration.findings:
                why = inevitable(workers, finding.outcome) if finding.repeatable else None
                kept = keep(target, finding, why, place / finding.name)
                text.append(_about(finding, why, kept, again, is_new=finding.name not in before))
        except KeyboardInterrupt:
            exploration.interrupted = True
    gone = before - {finding.name for finding in exploration.findings}
    text += [f"gone: {name}" for name in sorted(gone) if exploration.complete]
    text += [f"NEVER: {what} was not true in any run" for what in exploration.never]
    if exploration.corpus:
        place.mkdir(parents=True, exist_ok=True)
        (place / CORPUS).write_bytes(msgspec.json.encode(exploration.corpus))
    return exploration, "\n\n".join(text)


def replayed(target: Target, directory: Path) -> tuple[bool, str]:
    """Run a finding again.

    Returns:
        Whether it failed, and a text about it.
    """
    kept = load(directory)
    with Walker(target) as walker:
        outcome = next(walker.walk([kept.finding.outcome.fates]))
    same = outcome.digest == kept.finding.outcome.digest
    text = "the same record, byte for byte" if same else "another record than the finding's"
    how = outcome.failed.text if outcome.failed else "it passes"
    return outcome.failed is not None, f"replayed: {text}\n{how}"


def _saved(file: Path) -> list[tuple[Fate, ...]]:
    """The corpus of an earlier exploration."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=list[tuple[Fate, ...]])
    except (OSError, msgspec.MsgspecError):
        return []


def _summary(exploration: Exploration) -> str:
    walked = "all that was asked for" if exploration.complete else "not all that was asked for"
    if exploration.interrupted:
        walked = "interrupted"
    cut = f", {exploration.equivalent} equivalent schedules cut" if exploration.equivalent else ""
    done = f"{exploration.segments} segments, {line(exploration)}{cut}"
    return f"explored: {done} ({walked}, {exploration.seconds:.1f} s)"


def _about(
    finding: Finding, why: Inevitable | None, kept: Path, again: Callable[[Finding], str], *, is_new: bool
) -> str:
    faults = ", ".join(map(str, finding.faults)) or "no fault"
    lines = [f"FINDING: {faults} ({'new' if is_new else 'still there'}; found by run {finding.runs})"]
    lines += finding.failed.text.splitlines()[:_LINES]
    lines += [str(why)] if why else []
    if not finding.repeatable:
        lines.append("A second run gave another record: it depends on something other than the seed.")
    lines.append(f"record: handshake show {kept} (side by side: {kept / COMPARISON})")
    if finding.faults:
        lines.append(again(finding))
    return "\n".join(lines)
