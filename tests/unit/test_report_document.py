"""The JSON document and the pcapng file: for programs, exact and the same every time."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.plan.fault import Fault
from handshake_lab.recording.history import Record, TransmittedSegment
from handshake_lab.recording.observations import Address
from handshake_lab.report.export.json_document import to_json
from handshake_lab.report.export.pcapng import pcapng
from handshake_lab.report.export.run_document import RunDocument, SegmentDocument, run_document
from handshake_lab.verdict.judge import judge
from msgspec import structs
from report_records import ALL, CLEVER, clever, lost_syn_ack, normal, orphan, seen

if TYPE_CHECKING:
    from pathlib import Path


def written(record: Record) -> str:
    """The document of a run."""
    return to_json(run_document(record, judge(record)))


def document(record: Record) -> Any:
    """The document of a run, read by another program."""
    return json.loads(written(record))


@pytest.mark.parametrize("name", ALL)
def test_document_is_json_and_the_same_every_time(name: str) -> None:
    """Two runs of one seed can be compared byte by byte."""
    first, second = (written(ALL[name]()) for _ in range(2))

    assert first == second
    assert json.loads(first)["verdict"]["ok"] is True


def test_times_are_exact_decimals() -> None:
    """All nine digits, no exponent, no binary rounding."""
    text = written(normal())
    read = json.loads(text, parse_float=Decimal)

    assert re.search(r'"time": 0\.010000000\b', text)
    assert Decimal("62.260000000") == read["endpoints"][0]["states"][-1]["time"]
    assert not re.search(r"\dE-", text)


def test_first_state_is_there_with_no_cause() -> None:
    """The client's history begins with CLOSED, which has no cause."""
    states = document(normal())["endpoints"][0]["states"]

    assert [state["state"] for state in states[:2]] == ["CLOSED", "SYN-SENT"]
    assert states[0]["cause"] is None
    assert states[0]["time"] == 0


def test_segments_tell_their_fate() -> None:
    """Lost and retransmitted, with the number of the original."""
    segments = document(lost_syn_ack())["segments"]

    assert [segment["lost"] for segment in segments] == [False, True, False, False, False]
    assert [segment["retransmits"] for segment in segments] == [None, None, 1, 2, None]
    assert segments[0]["ack"] is None


def test_every_field_of_a_record_is_in_the_document() -> None:
    """What is added to a record or its segments is added to the document, too; no stored segment is under way."""
    assert set(TransmittedSegment.__struct_fields__) - {"under_way"} <= set(SegmentDocument.__struct_fields__)
    assert set(Record.__struct_fields__) - {"header", "blurred"} <= set(RunDocument.__struct_fields__)


def test_translated_addresses_are_in_the_document() -> None:
    """Of a segment behind NAT, the addresses on both sides."""
    record = normal()
    behind = (Address("192.0.2.1", 4096), Address("10.0.0.2", 80))
    segment = structs.replace(record.segments[0], translated=behind, stopped_at="r1")
    described = document(structs.replace(record, segments=(segment, *record.segments[1:])))["segments"]

    assert described[0]["translated"] == {"src": "192.0.2.1:4096", "dst": "10.0.0.2:80"}
    assert described[0]["stopped_at"] == "r1"
    assert described[1]["translated"] is None


def test_doubts_are_reported() -> None:
    """Inference and objection are fields, where there are any."""
    states = document(orphan())["endpoints"][0]["states"]

    assert states[-1]["inferred"] is True
    assert "objection" in states[-2]
    assert "objection" not in states[1]


@pytest.mark.parametrize("name", ALL)
def test_names_of_segments_can_be_typed_into_a_fault(name: str) -> None:
    """As the document, the ladder and the causes print them."""
    record = ALL[name]()
    named = {segment.name for segment in record.segments if not segment.icmp}
    received = re.findall(
        r"received ([A-Z-]+)(?![a-z])",
        " ".join(step.cause.text for end in record.endpoints for step in end.transitions),
    )

    assert named
    for kind in {*named, *received}:
        assert Fault.parse(f"drop {kind} nth=1").kind == kind


@pytest.mark.parametrize("nasty", CLEVER)
def test_document_carries_any_text_as_data(nasty: str) -> None:
    """The text of a program is read back unchanged, and the file contains no raw control character."""
    text = written(clever(nasty))

    assert json.loads(text)["topology"] == nasty
    assert not set(text) & set("\x1b\x00\x07")


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", ["normal", "lost_syn_ack", "orphan"])
def test_tshark_reads_the_capture(name: str, tmp_path: Path) -> None:
    """Interfaces, nanoseconds and comments arrive where Wireshark shows them."""
    record = ALL[name]()
    rows = _tshark(record, tmp_path)

    assert len(rows) == len(seen(record))
    assert {"h1-eth0", "h2-eth0"} == {row[0] for row in rows}
    assert rows[0][1] == "1893456000.010000000"
    assert "h1: CLOSED -> SYN-SENT (connect()" in rows[0][2]
    transitions = sum(len(endpoint.transitions) for endpoint in record.endpoints)
    assert transitions == sum(row[2].count(" -> ") for row in rows)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_comment_stands_on_the_packet_that_caused_the_change(tmp_path: Path) -> None:
    """The comment about ESTABLISHED is on the arriving SYN-ACK at the client; that about a loss on the sent segment."""
    rows = _tshark(lost_syn_ack(), tmp_path)
    established = next(row for row in rows if "SYN-SENT -> ESTABLISHED" in row[2])
    lost = next(row for row in rows if "lost in transit" in row[2])

    assert (established[0], established[3]) == ("h1-eth0", "0x0012")
    assert (lost[0], lost[3]) == ("h2-eth0", "0x0012")


def _tshark(record: Record, tmp_path: Path) -> list[list[str]]:
    file = tmp_path / "run.pcapng"
    file.write_bytes(pcapng(record, seen(record)))
    fields = ["frame.interface_name", "frame.time_epoch", "frame.comment", "tcp.flags"]
    words = ["tshark", "-r", str(file), "-T", "fields", *(word for field in fields for word in ("-e", field))]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("nasty", CLEVER)
def test_capture_holds_no_control_characters_in_its_comments(nasty: str) -> None:
    """Comments are bounded and contain no control characters."""
    record = clever(nasty)
    written = pcapng(record, seen(record))

    assert b"\x1b[" not in written
    assert len(written) < 100_000
