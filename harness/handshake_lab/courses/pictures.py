"""The pictures of a unit for slides: of each experiment its ladders, the state diagram, and curves of bulk data."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from handshake_lab.courses.phrases import phrase
from handshake_lab.errors import UsageError
from handshake_lab.report.layout.connections import connections
from handshake_lab.report.series.plots import plots
from handshake_lab.report.svg import plot_svg
from handshake_lab.report.svg.record_svg import diagram_picture, ladder_picture
from handshake_lab.report.terminal.ladder import DRAWN
from handshake_lab.report.text.translations import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.unit import Unit
    from handshake_lab.reconcile.stored_run import Run

#: From this number of bytes on, curves show more than a ladder.
_BULK = 20_000


def write_pictures(
    unit: Unit, seed: int, lang: str, laboratory: Laboratory, out: Path, report: Callable[[str], object] = print
) -> Iterator[Path]:
    """Run the experiments of a unit that students see, and write their pictures as SVG; yields each file.

    An experiment without TCP has no pictures, and connections after the first `DRAWN` have no ladder.

    Args:
        unit: The unit.
        seed: The seed of the student whose numbers are used.
        lang: ``en`` or ``ko``.
        laboratory: Where experiments run.
        out: The directory for the unit's folder, which is created if it is missing.
        report: Prints a line for an experiment of which something has no picture.

    Raises:
        UsageError: A file cannot be written.
        HandshakeError: An experiment failed.
    """
    place = out / unit.name
    with _written_to(out):
        place.mkdir(parents=True, exist_ok=True)
    for name, experiment in unit.file.experiments.items():
        if not experiment.shown:
            continue
        run = laboratory.run(unit, name, seed)
        for ending, picture in pictures(run, lang):
            file = place / f"{name}{ending}.svg"
            with _written_to(out):
                file.write_text(picture, "utf-8")
            yield file
        if omitted := _omitted(run, lang):
            report(f"{name}: {omitted}")


@contextmanager
def _written_to(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError("--out", str(out), f"cannot be written ({error.strerror})", "--out slides") from None


def _omitted(run: Run, lang: str) -> str:
    """What of a run has no picture; "" if all has."""
    found = sum(1 for each in connections(run.record) if each.segments)
    if not found:
        return phrase(lang, "work.no_pictures")
    return phrase(lang, "work.not_drawn", most=DRAWN, all=found) if found > DRAWN else ""


def pictures(run: Run, lang: str) -> Iterator[tuple[str, str]]:
    """The pictures of a run: what is appended to its name, and the SVG. A run without TCP has none."""
    found = [each for each in connections(run.record) if each.segments]
    for each in found[:DRAWN]:
        yield "" if len(found) == 1 else f"-{each.number}", ladder_picture(run.record, each.number, lang=lang)
    if found:
        yield "-states", diagram_picture(run.record, lang=lang)
    if sum(segment.length for segment in run.record.segments) >= _BULK:
        for kind in ("sequence", "cwnd"):
            if drawn := plots(run.record, run.observations, [kind], found=found):
                yield f"-{kind}", plot_svg.picture(drawn, words(lang))
