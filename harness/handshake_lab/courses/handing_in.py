"""Writing and reading the file that a student hands in. Whatever it contains, reading it does no harm.

A hand-in is a zip archive with one JSON document. It is never unpacked to a disk: the one member is read in memory, up
to a limit, and only if the archive has nothing else.
"""

from __future__ import annotations

import io
import lzma
import stat
import zipfile
import zlib
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.courses.work import FORMAT, Work

if TYPE_CHECKING:
    from pathlib import Path

#: The name of the document in the archive, and the ending of the archive.
DOCUMENT, ENDING = "handin.json", ".handin.zip"
#: Bytes of an archive and of its document.
LARGEST_FILE, LARGEST_DOCUMENT = 1 << 20, 2 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: What reading a damaged archive raises; RuntimeError: it is encrypted, NotImplementedError: another compression.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, ValueError)


class Refused(Exception):
    """A file that is not read further.

    Args:
        status: "unreadable", "hostile", "empty" or "version": a key of ``status`` in the catalogues of texts.
        detail: What is wrong with it, in English.
    """

    def __init__(self, status: str, detail: str) -> None:
        self.status = status
        self.detail = detail
        super().__init__(detail)


def write(file: Path, work: Work) -> None:
    """Write a hand-in; the same work gives the same bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        member = zipfile.ZipInfo(DOCUMENT, _EPOCH)
        member.external_attr = 0o644 << 16
        archive.writestr(member, msgspec.json.format(msgspec.json.encode(work), indent=1) + b"\n", zipfile.ZIP_DEFLATED)


def read(file: Path) -> Work:
    """Read a hand-in.

    Raises:
        Refused: It is not one, or does what a hand-in does not do.
    """
    if file.is_symlink() or not file.is_file():
        raise Refused("hostile", "it is not a regular file")
    size = file.stat().st_size
    if size == 0:
        raise Refused("empty", "the file has no bytes")
    if size > LARGEST_FILE:
        raise Refused("hostile", f"it has {size} bytes; a hand-in has at most {LARGEST_FILE}")
    return _decoded(_document(file.read_bytes()))


def _document(content: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(_only_member(archive)) as opened:
            found = opened.read(LARGEST_DOCUMENT + 1)  # whatever size the archive claims
    except _DAMAGED as error:
        raise Refused("unreadable", f"it is not a readable archive ({error})") from None
    if len(found) > LARGEST_DOCUMENT:
        raise Refused("hostile", f"its document has more than {LARGEST_DOCUMENT} bytes")
    return found


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    """The document of an archive that has nothing else.

    Raises:
        Refused: It has something else.
    """
    members = archive.infolist()
    if len(members) != 1 or members[0].filename != DOCUMENT:
        names = ", ".join(repr(each.filename[:60]) for each in members[:3])
        raise Refused("hostile", f"the archive has {len(members)} members ({names}) instead of {DOCUMENT}")
    if stat.S_IFMT(members[0].external_attr >> 16) not in (0, stat.S_IFREG):
        raise Refused("hostile", "the member of the archive is not a regular file")
    return members[0]


class _Versioned(msgspec.Struct):
    format: int


def _decoded(document: bytes) -> Work:
    if not document.strip():
        raise Refused("empty", "the document has no content")
    try:
        found = msgspec.json.decode(document, type=_Versioned).format
        if found != FORMAT:
            raise Refused("version", f"it has format {found}; this release reads {FORMAT}")
        return msgspec.json.decode(document, type=Work)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("unreadable", f"its document is not a hand-in ({error})") from None
