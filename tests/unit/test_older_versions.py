"""Records of older versions are read, and mean what they meant when they were written.

``fixtures/format-1`` holds records that the last release with version 1 wrote (demo, record, a failed test, on the lab
kernel and in real time, and one that was cut), and what that release made of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording.events_file import Follower, Writer, read
from handshake_lab.recording.messages import CALL, Message
from handshake_lab.recording.observations import FORMAT_VERSION, RunHeader
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.verdict.judge import judge

if TYPE_CHECKING:
    from handshake_lab.recording.history import Endpoint

SAMPLES = Path(__file__).parent / "fixtures" / "format-1"
EXPECTED: dict[str, Any] = json.loads((SAMPLES / "expected.json").read_text("utf-8"))


def described(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as expected.json has it."""
    return {
        "node": endpoint.node,
        "role": endpoint.role,
        "local": str(endpoint.local),
        "states": [str(state) for state in endpoint.states],
        "transitions": [
            {
                "time": step.time,
                "edge": step.edge,
                "witnesses": list(step.witnesses),
                "cause": [step.cause.kind, code(step.cause.message), step.cause.segment],
            }
            for step in endpoint.transitions
        ],
    }


def code(message: Message | str | None) -> str:
    """The code of a message, as the documents have it."""
    return message.code if isinstance(message, Message) else CALL


def test_every_sample_is_expected() -> None:
    """No record is kept that nothing is compared with."""
    assert sorted(EXPECTED) == sorted(file.stem for file in SAMPLES.glob("*.jsonl"))


@pytest.mark.parametrize("name", EXPECTED)
def test_states_causes_and_verdicts_are_the_same(name: str) -> None:
    """As the release found them that wrote the record."""
    expected = EXPECTED[name]
    file = SAMPLES / f"{name}.jsonl"
    log = read(file)
    record = reconcile(log.observations)
    verdict = judge(record)

    assert b'"schema":1' in file.read_bytes().partition(b"\n")[0]
    assert (bool(log.cut), record.complete) == (expected["cut"], expected["complete"])
    assert [described(endpoint) for endpoint in record.endpoints] == expected["endpoints"]
    assert [
        [each.number, each.flags, each.rel_seq, each.length, each.lost, each.retransmits] for each in record.segments
    ] == expected["segments"]
    assert {"ok": verdict.ok, "code": code(verdict.message)} == expected["verdict"]
    assert [
        [each.ok, code(each.message), each.endpoint, each.transition, each.segment] for each in verdict.findings
    ] == expected["findings"]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_read_is_written_in_the_present_version(name: str, tmp_path: Path) -> None:
    """A copy, as of a kept test, has the present version's names, and the same content."""
    log = read(SAMPLES / f"{name}.jsonl")
    with Writer(tmp_path / EVENTS) as writer:
        writer.write_all(log.observations)
    header = json.loads((tmp_path / EVENTS).read_bytes().partition(b"\n")[0])
    copied = read(tmp_path)

    assert "schema" not in header
    assert header["version"] == FORMAT_VERSION
    assert copied.observations == log.observations


def test_a_growing_file_of_an_older_version_is_followed() -> None:
    """``--watch`` and pages read lines as they come."""
    [header, *rest] = Follower(SAMPLES / "programs.jsonl").read()

    assert isinstance(header, RunHeader)
    assert header.version == FORMAT_VERSION
    assert rest
