"""``events.jsonl``: a run's observations, one JSON object a line, in the order in which they were made.

The format is that of `handshake_lab.recording.observations`, described for other programs by
``events.schema.json``. A line is written whole and at once, so that a recorder which is
killed leaves everything up to then, and at most one line that is cut.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import RecordUnreadable
from handshake_lab.recording.observations import SCHEMA, Observation, RunEnd, RunHeader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType

#: The name of the file in a run's directory.
EVENTS = "events.jsonl"
#: The error that ended a run inside a kernel, until it is raised outside.
ERROR = "error.json"


class Writer:
    """Appends observations to a file.

    Args:
        path: The file; its directory must exist. An existing file is continued.

    Raises:
        OSError: The file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        # Unbuffered: what `write` was given is the kernel's before `write` returns.
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._encode = msgspec.json.Encoder().encode

    def write(self, observation: Observation) -> None:
        """Append one observation."""
        self._file.write(self._encode(observation) + b"\n")

    def write_all(self, observations: Iterable[Observation]) -> None:
        """Append several at once, which costs one system call."""
        encode = self._encode
        lines = [encode(observation) + b"\n" for observation in observations]
        if lines:
            self._file.write(b"".join(lines))

    def reopen(self) -> None:
        """Continue in the file that is at the path now."""
        self._file.close()
        self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file. It is complete without that, too."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StoredEvents(msgspec.Struct, frozen=True):
    """What a file held.

    ``cut`` says what is missing at its end, for a person; "" where nothing is.
    """

    observations: tuple[Observation, ...]
    cut: str = ""


class _Version(msgspec.Struct):
    """The part of the first line that every version of the format has."""

    type: str
    schema: int


_decoder: msgspec.json.Decoder[Observation] = msgspec.json.Decoder(Observation)


def read(path: Path) -> StoredEvents:
    """Read a run's observations.

    A last line that was cut is left out, and ``StoredEvents.cut`` says so: its writer was killed.

    Args:
        path: The file, or the directory of a run, which holds one called `EVENTS`.

    Raises:
        RecordUnreadable: The file is missing, empty or damaged (the message names the
            line), or was written in a newer format than this release knows.
    """
    if path.is_dir():
        path /= EVENTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordUnreadable(f"{path}: {error.strerror}. Name a run's directory or its {EVENTS}") from None
    lines = data.split(b"\n")
    rest = lines.pop()  # b"" after a whole last line
    if not lines:
        raise RecordUnreadable(f"{path}: holds no observation; the recorder was ended before its first line")
    _check_version(path, lines[0])
    observations = tuple(_decode_lines(path, lines))
    if rest:
        return StoredEvents(
            observations, f"the last line, {len(lines) + 1}, was cut: the recorder was killed while writing it"
        )
    if not isinstance(observations[-1], RunEnd):
        return StoredEvents(observations, "the record has no end: the recorder was killed")
    return StoredEvents(observations)


class Follower:
    """Reads what a `Writer` appends, while it does.

    Args:
        path: The file, or the directory of a run. It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / EVENTS if path.is_dir() else path
        self._at = 0
        self._rest = b""
        self._count = 0

    def read(self) -> list[Observation]:
        """What has been written since the last call: whole lines; the rest is waited for.

        Raises:
            RecordUnreadable: It is damaged, or of a newer format.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        self._at += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if lines and not self._count:
            _check_version(self._path, lines[0])
        first, self._count = self._count + 1, self._count + len(lines)
        return list(_decode_lines(self._path, lines, first))


def _check_version(path: Path, line: bytes) -> None:
    try:
        first = msgspec.json.decode(line, type=_Version)
    except msgspec.MsgspecError as error:
        raise RecordUnreadable(f"{path}, line 1: is not the header of a run: {error}") from None
    if first.schema > SCHEMA:
        raise RecordUnreadable(
            f"{path}, line 1: format {first.schema}, but this release reads up to {SCHEMA}: "
            "install the release that wrote it, or a newer one"
        )


def _decode_lines(path: Path, lines: list[bytes], first: int = 1) -> Iterator[Observation]:
    decode = _decoder.decode
    for number, line in enumerate(lines, first):
        try:
            observation = decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RecordUnreadable(f"{path}, line {number}: damaged: {error}") from None
        if isinstance(observation, RunHeader) != (number == 1):
            wanted = "the header of a run" if number == 1 else "an observation; two runs are in one file"
            raise RecordUnreadable(f"{path}, line {number}: is not {wanted}")
        yield observation
