"""``events.jsonl``: a run's observations, one JSON object per line, in the order in which they were made.

The format is that of `handshake_lab.recording.observations`, described for other programs by ``events.schema.json``.
Every line is written with one system call: a recorder that is killed leaves at most one incomplete line. Files of older
versions are read (`handshake_lab.recording.older_versions`), files of newer ones are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import msgspec

from handshake_lab.errors import RecordUnreadable
from handshake_lab.recording.observations import FORMAT_VERSION, Observation, RunEnd, RunHeader
from handshake_lab.recording.older_versions import upgraded
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from types import TracebackType


class Writer:
    """Appends observations to a file.

    Args:
        path: The file; its directory must exist. An existing file is continued.

    Raises:
        OSError: The file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        # Unbuffered: when `write` returns, the kernel has the line, even if this process is killed then.
        self._path = path
        self._file = path.open("ab", buffering=0)
        self._encode = msgspec.json.Encoder().encode

    def write(self, observation: Observation) -> None:
        """Append one observation."""
        self._file.write(self._encode(observation) + b"\n")

    def write_all(self, observations: Iterable[Observation]) -> None:
        """Append several with one system call."""
        encode = self._encode
        lines = [encode(observation) + b"\n" for observation in observations]
        if lines:
            self._file.write(b"".join(lines))

    def reopen(self) -> None:
        """Continue with the file that is at the path now."""
        self._file.close()
        self._file = self._path.open("ab", buffering=0)

    def close(self) -> None:
        """Close the file. Its content is complete even without this call."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StoredEvents(msgspec.Struct, frozen=True):
    """The observations of a file.

    ``cut`` is a sentence that describes what is missing at its end; "" if nothing is missing.
    """

    observations: tuple[Observation, ...]
    cut: str = ""


class _Version(msgspec.Struct):
    """The version in the first line, under the name of version 1 or the name since version 2."""

    type: str
    version: int = 0
    schema: int = 0


_decoder: msgspec.json.Decoder[Observation] = msgspec.json.Decoder(Observation)


def read(path: Path) -> StoredEvents:
    """Read a run's observations.

    An incomplete last line, which a killed writer leaves, is omitted; ``StoredEvents.cut`` then describes it.

    Args:
        path: The file, or the directory of a run, which holds one called `EVENTS`.

    Raises:
        RecordUnreadable: The file is missing, empty or damaged (the message names the line), or has a newer version
            than this release reads.
    """
    if path.is_dir():
        path /= EVENTS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordUnreadable(f"{path}: {error.strerror}. Name a run's directory or its {EVENTS}") from None
    return parse(data, path)


def parse(data: bytes, path: Path) -> StoredEvents:
    """The observations in the content of a file.

    Args:
        data: The content.
        path: The file, for messages.

    Raises:
        RecordUnreadable: As by `read`.
    """
    lines = data.split(b"\n")
    rest = lines.pop()  # b"" after a complete last line
    if not lines:
        raise RecordUnreadable(f"{path}: contains no observation; the recorder was stopped before its first line")
    lines[0] = _header(path, lines[0])
    observations = tuple(_decode_lines(path, lines))
    if rest:
        return StoredEvents(
            observations, f"the last line, {len(lines) + 1}, is incomplete: the recorder was killed while writing it"
        )
    if not isinstance(observations[-1], RunEnd):
        return StoredEvents(observations, "the last line is missing: the recorder was killed")
    return StoredEvents(observations)


class Follower:
    """Reads the lines that a `Writer` appends, while the file grows.

    Args:
        path: The file, or the directory of a run. It need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / EVENTS if path.is_dir() else path
        self._at = 0
        self._rest = b""
        self._count = 0

    def read(self) -> list[Observation]:
        """Return the observations written since the last call; an incomplete line is kept for the next one.

        Raises:
            RecordUnreadable: The file is damaged, or has a newer version.
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
            lines[0] = _header(self._path, lines[0])
        first, self._count = self._count + 1, self._count + len(lines)
        return list(_decode_lines(self._path, lines, first))


def _header(path: Path, line: bytes) -> bytes:
    """The first line, converted to the present version."""
    try:
        first = msgspec.json.decode(line, type=_Version)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordUnreadable(f"{path}, line 1: is not the header of a run: {error}") from None
    version = first.version or first.schema
    if version > FORMAT_VERSION:
        raise RecordUnreadable(
            f"{path}, line 1: version {version}, but this release reads versions 1 to {FORMAT_VERSION}: "
            "install the release that wrote it, or a newer one"
        )
    if first.type != "run" or version < 1:
        raise RecordUnreadable(f"{path}, line 1: is not the header of a run: it has no version")
    return upgraded(line, version)


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
