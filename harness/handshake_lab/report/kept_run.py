"""The files that are kept beside the events of a run: its capture and its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.recording.run_files import CAPTURE, PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from handshake_lab.recording.history import Record
    from handshake_lab.recording.observations import Observation
    from handshake_lab.verdict.judge import Verdict


def write_capture(directory: Path, record: Record, observations: Sequence[Observation]) -> None:
    """Write a run as a capture for Wireshark."""
    from handshake_lab.report.export.pcapng import pcapng  # noqa: PLC0415 -- most runs are not kept

    (directory / CAPTURE).write_bytes(pcapng(record, observations))


def write_page(
    directory: Path,
    record: Record,
    observations: Sequence[Observation],
    *,
    title: str,
    verdict: Verdict,
    back: str,
    lang: str,
    printed: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a run as a page; the arguments are those of `handshake_lab.report.html.page.page`."""
    from handshake_lab.report.html.page import page  # noqa: PLC0415 -- most runs are not kept

    html = page(record, observations, title=title, verdict=verdict, printed=printed, back=back, lang=lang)
    (directory / PAGE).write_text(html, "utf-8")
