"""A queue that overflows is named as what dropped the segments: it is not the link's loss."""

from __future__ import annotations

import sys
from pathlib import Path

from complaints import describe
from handshake_lab.verdict.judge import judge
from record_verb import RecordedRun, record

PROGRAMS = Path(__file__).parent / "programs"
SENDER = f"{sys.executable} {PROGRAMS / 'sends.py'} h2 80 60000"
READER = f"{sys.executable} {PROGRAMS / 'closes_second.py'} 80"


def reasons(directory: Path, link: str) -> tuple[RecordedRun, list[str]]:
    """A transfer over a link, and what the verdict reports of data that were retransmitted."""
    run = record(directory, "--link", link, "--after", "5s", "--server", READER, "--client", SENDER)
    texts = [finding.text for finding in judge(run.record).findings if "B of data retransmitted" in finding.text]
    return run, texts


def test_a_queue_that_overflows(tmp_path: Path) -> None:
    """tc-netem(8), limit: packets that arrive at a full queue are dropped; the queue's own counter counts them."""
    run, texts = reasons(tmp_path, "rate=1mbit,limit=3")

    assert texts, describe(run.record)
    assert all("the queue of s1-eth2 was full" in text for text in texts), texts


def test_the_loss_of_a_link(tmp_path: Path) -> None:
    """With loss on the link, a counter does not show which of both dropped a segment: it was lost."""
    run, texts = reasons(tmp_path, "rate=1mbit,limit=3,loss=20%")

    assert texts, describe(run.record)
    assert not any("queue" in text for text in texts), texts
