"""A queue that overflows is named as what dropped the segments: it is not the link's loss."""

from __future__ import annotations

import sys
from pathlib import Path

from captions import captions
from complaints import describe
from handshake_lab import ladder
from handshake_lab.verdict.judge import judge
from handshake_lab.verdict.losses import why_lost
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


def test_a_fault_beside_a_full_queue(tmp_path: Path) -> None:
    """A segment that a fault dropped was lost, and those that met a full queue are named: each by its own evidence."""
    run = record(
        tmp_path,
        "--link", "rate=1mbit,limit=3",
        "--fault", "drop FIN from h1 nth=1",
        "--after", "5s",
        "--server", READER,
        "--client", SENDER,
    )  # fmt: skip
    fin, *_ = (each.number for each in run.record.segments if "F" in each.flags and each.lost)
    why = why_lost(run.record)

    assert fin not in why, describe(run.record)
    assert {str(each) for each in why.values()} == {"the queue of s1-eth2 was full"}, describe(run.record)
    assert len(why) == sum(queue.dropped for queue in run.record.queues)


def test_at_the_time_it_was_full(tmp_path: Path) -> None:
    """The ladder names the queue where a segment was lost, not only at the end of the run."""
    run, _ = reasons(tmp_path, "rate=1mbit,limit=3")
    first = min(why_lost(run.record))

    assert f"#{first} was lost: the queue of s1-eth2 was full" in captions(ladder(run.record, width=160))
