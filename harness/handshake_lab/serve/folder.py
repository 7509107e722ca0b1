"""The served folder: which runs or course units are in it, and reading and writing there without leaving it.

Every file is opened from the descriptor of its directory, part by part, and symbolic links are not followed: another
process cannot exchange a directory for a link in between. A name in a request is only ever looked up among those found.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from handshake_lab.errors import RecordUnreadable, UsageError
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: How deep and how many directories are searched, and how much is served of what is there: the folder may be a home.
_DEEPEST, _MOST_DIRECTORIES, MOST_FOUND = 12, 20_000, 2_000
#: The longest file that is read, in bytes.
LONGEST_FILE = 64 * 1024 * 1024
_NEW_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


class FoundFile(msgspec.Struct, frozen=True):
    """A file as it was when the folder was searched: not equal to itself after a change."""

    size: int
    mtime_ns: int
    inode: int


class Folder:
    """The served folder.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    def find(self, file: str = EVENTS) -> dict[str, FoundFile]:
        """The directories that contain a file of some name, as paths relative to the folder, in order; "." is itself.

        Directories whose names begin with a dot are not searched, and links are not followed. Nothing is found if the
        folder was removed.
        """
        found: dict[str, FoundFile] = {}
        for count, (where, inside, files, descriptor) in enumerate(self._directories()):
            if count >= _MOST_DIRECTORIES or len(found) >= MOST_FOUND:
                break
            name = os.path.relpath(where, self.path)
            deep = name.count("/") >= _DEEPEST
            inside[:] = [] if deep else sorted(each for each in inside if each[0] != "." and each.isprintable())
            if file not in files:
                continue
            try:
                status = os.stat(file, dir_fd=descriptor, follow_symlinks=False)
            except OSError:
                continue  # it was removed meanwhile
            if stat.S_ISREG(status.st_mode):
                found[name] = FoundFile(status.st_size, status.st_mtime_ns, status.st_ino)
        return dict(sorted(found.items()))

    def _directories(self) -> Iterator[tuple[str, list[str], list[str], int]]:
        """The directories in the folder, from its top; those that are removed meanwhile are left out."""
        with suppress(OSError):
            yield from os.fwalk(str(self.path), follow_symlinks=False)

    def read(self, directory: str, file: str = EVENTS) -> bytes:
        """The content of a file.

        Args:
            directory: One that `find` has returned.
            file: The name of the file in it.

        Raises:
            RecordUnreadable: It is not a regular file in this folder, or is too long.
        """
        try:
            with self._opened(directory) as place:
                # Without O_NONBLOCK, opening a pipe would wait for its writer.
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                with os.fdopen(os.open(file, flags, dir_fd=place), "rb") as opened:
                    status = os.fstat(opened.fileno())
                    if not stat.S_ISREG(status.st_mode):
                        raise RecordUnreadable(f"{directory}/{file}: is not a regular file")
                    if status.st_size > LONGEST_FILE:
                        raise RecordUnreadable(
                            f"{directory}/{file}: has {status.st_size} bytes, and {LONGEST_FILE} are served at most; "
                            "use handshake show"
                        )
                    return opened.read(LONGEST_FILE)
        except OSError as error:
            raise RecordUnreadable(f"{directory}/{file}: {error.strerror}") from None

    def create(self, name: str, text: str) -> None:
        """Write a new file directly in the folder.

        Raises:
            UsageError: The name has other characters than letters, digits, ``_``, ``.`` and ``-``, or there is such a
                file, or it cannot be written.
        """
        if not _NEW_FILE.fullmatch(name):
            raise UsageError("save", name, "is not the name of a new file in the served folder", "save test_it.py")
        try:
            with self._opened(".") as place:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(name, flags, 0o644, dir_fd=place)
                try:
                    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                        file.write(text)
                except BaseException:
                    os.unlink(name, dir_fd=place)
                    raise
        except OSError as error:
            raise UsageError("save", name, f"cannot be written ({error.strerror})", "save test_another.py") from None

    @contextmanager
    def _opened(self, directory: str) -> Iterator[int]:
        """The descriptor of a directory, within the block."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        descriptor = os.open(self.path, flags)
        try:
            for part in directory.split("/"):
                if part in ("", ".."):
                    raise RecordUnreadable(f"{directory}: is not in the served folder")
                inner = os.open(part, flags | os.O_NOFOLLOW, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)
