"""events.jsonl can be read after any failure of its writer, and errors describe the damage."""

from __future__ import annotations

import json
import os
import signal
import sys
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING

import msgspec
import pytest
from handshake_lab.errors import RecordUnreadable
from handshake_lab.reconcile.pipeline import reconcile
from handshake_lab.recording import schema
from handshake_lab.recording.events_file import Writer, read
from handshake_lab.recording.observations import (
    FORMAT_VERSION,
    Address,
    KernelInfo,
    Missed,
    RunEnd,
    RunHeader,
    SegmentSeen,
    SocketSeen,
    StateChange,
    TcpInfo,
)
from handshake_lab.recording.run_files import EVENTS
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.recording.observations import Observation

HEADER = RunHeader(
    0,
    FORMAT_VERSION,
    KernelInfo("lab", "7.3.4", 250, 1),
    "pair",
    {"h1": ["10.0.0.1"]},
    [],
    [],
    {"diag": ""},
    "2026-01-01",
)
A, B = Address("10.0.0.1", 40000), Address("fd00::2", 80)
RUN: list[Observation] = [
    HEADER,
    StateChange(1, 0xFFFF_8880_1234_5678, State.CLOSED, State.SYN_SENT, A, B, 7),
    SegmentSeen(2, "h1", "h1-eth0", "sent", A, B, "S", 2**32 - 1, 0, 0, 64240, bytes(range(256))),
    SocketSeen(3, 0, "h1", 2**63, State.SYN_SENT, A, B, "diag", "on", 10**9, 0, 1, 2, 3, TcpInfo(rto=1000000)),
    Missed(4, "capture", "h1", 3),
    RunEnd(5),
]


def written(path: Path, observations: list[Observation]) -> Path:
    """A file with these observations."""
    with Writer(path / EVENTS) as writer:
        writer.write_all(observations)
    return path / EVENTS


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every kind is read as it was written, from the file or from its directory."""
    file = written(tmp_path, RUN)

    assert list(read(file).observations) == RUN
    assert read(tmp_path) == read(file)
    assert read(file).cut == ""


def test_each_line_is_there_as_soon_as_it_is_written(tmp_path: Path) -> None:
    """Nothing waits in a buffer."""
    writer = Writer(tmp_path / EVENTS)
    for count, observation in enumerate(RUN, 1):
        writer.write(observation)

        assert len(read(tmp_path).observations) == count
    writer.close()


def test_killing_the_writer_leaves_all_up_to_then(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: what was reported before is there, and can be reconciled."""
    program = """
import sys
from handshake_lab.recording.events_file import Writer
from handshake_lab.recording.observations import *
from handshake_lab.tcp.states import State
from pathlib import Path
writer = Writer(Path(sys.argv[1]))
a = Address("10.0.0.1", 1)
writer.write(RunHeader(0, FORMAT_VERSION, KernelInfo("lab", "7", 250, 1), "pair", {"h1": ["10.0.0.1"]}, [], [], {}, ""))
for t in range(10**9):
    writer.write(StateChange(t, 1, State.CLOSED, State.SYN_SENT, a, a))
    if t == 1000:
        print("on the way", flush=True)
"""
    with Popen([sys.executable, "-c", program, str(tmp_path / EVENTS)], stdout=PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        os.kill(writer.pid, signal.SIGKILL)

    log = read(tmp_path)

    assert len(log.observations) > 1000
    assert "killed" in log.cut
    assert not reconcile(log.observations).complete


def test_a_cut_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    """The rest of the file is good."""
    file = written(tmp_path, RUN)
    file.write_bytes(file.read_bytes()[:-5])

    log = read(file)

    assert list(log.observations) == RUN[:-1]
    assert "line, 6, is incomplete" in log.cut


def test_a_record_without_an_end_says_so(tmp_path: Path) -> None:
    """All lines are whole, and yet the run did not come to its end."""
    assert "last line is missing" in read(written(tmp_path, RUN[:-1])).cut


@pytest.mark.parametrize(
    ("content", "reported"),
    [
        (b"", "contains no observation"),
        (b"GIF89a\n", "line 1: is not the header"),
        (b'{"type":"end","t":1}\n', "line 1: is not the header"),
        (msgspec.json.encode(HEADER) + b'\n{"type":"state","t":"soon"}\n', "line 2: damaged: "),
        (msgspec.json.encode(HEADER) + b'\n{"type":"state","t"\n{"type":"end","t":1}\n', "line 2: damaged: "),
        (msgspec.json.encode(HEADER) + b"\n\xff\xfe\n", "line 2: damaged: "),
        ((msgspec.json.encode(HEADER) + b"\n") * 2, "line 2: is not an observation; two runs"),
        (b'{"type":"run","version":99,"news":1}\n', "version 99, but this release reads versions 1 to 2: install"),
        (b'{"type":"run","schema":99,"news":1}\n', "version 99, but this release reads versions 1 to 2: install"),
        (b'{"type":"run","t":0}\n', "line 1: is not the header of a run: it has no version"),
        (b'{"type":"run","version":-1}\n', "line 1: is not the header of a run: it has no version"),
    ],
)
def test_damage_is_reported_with_file_and_line(tmp_path: Path, content: bytes, reported: str) -> None:
    """The errors name the line, and the remedy for a newer format."""
    file = tmp_path / EVENTS
    file.write_bytes(content)

    with pytest.raises(RecordUnreadable) as caught:
        read(file)

    assert str(file) in str(caught.value)
    assert reported in str(caught.value)


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    """The error names the requested item, with a valid example."""
    with pytest.raises(RecordUnreadable, match=r"nowhere: No such file.*events\.jsonl"):
        read(tmp_path / "nowhere")


def test_the_json_schema_is_up_to_date() -> None:
    """After a change of the types: python -m handshake_lab.report.export.schemas."""
    assert schema.FILE.read_text(encoding="utf-8") == schema.generate()


def test_the_json_schema_names_every_kind_of_line() -> None:
    """Each kind of observation is described under its tag."""
    document = json.loads(schema.generate())
    tags = {
        kind["properties"]["type"]["enum"][0]
        for kind in document["$defs"].values()
        if "type" in kind.get("properties", {})
    }

    assert {"run", "state", "tcp", "socket", "gone", "segment", "step", "counters", "missed", "end"} <= tags
