"""The mailbox: memory that a virtual machine shares with this one, for one job and its results.

It is the machine's last memory, which its kernel does not use. The host writes a job into it before the machine
continues, and reads the results after it has ended; in between only the guest uses it. So neither side ever waits for
the other, and the time at which the host answers cannot have an effect on a run.

    page 0     the header
    page 1     the job, in JSON; then, from the next page on, a tar archive of its files; later, the results

Everything begins at a page: an arm64 kernel maps memory that it does not use as that of a device, where reading from
other addresses can fail.
"""

from __future__ import annotations

import mmap
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from handshake_lab.errors import EnvironmentUnsupported, KernelFailed

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes. The file of it is sparse: what is not used takes no memory and no disk.
SIZE = 256 << 20

_PAGE = 4096
#: Whether the job has ended, its exit status, and the lengths of the job, of the archive and of the results.
_HEADER = struct.Struct("<QqQQQ")
_ENDED = 1
#: In place of that: it has ended, and its results do not fit.
_TOO_LARGE = 2


class Delivery(NamedTuple):
    """What the guest finds: a job in JSON, and a tar archive of its files."""

    job: bytes
    archive: bytes


class Reply(NamedTuple):
    """What the host finds: the exit status, and a tar archive of the results."""

    status: int
    results: bytes


def _padded(length: int) -> int:
    return -(-length // _PAGE) * _PAGE


def write_delivery(file: Path, delivery: Delivery) -> None:
    """Create a mailbox with a job.

    Raises:
        EnvironmentUnsupported: It does not have enough room.
    """
    needed = _PAGE + _padded(len(delivery.job)) + _padded(len(delivery.archive))
    if needed > SIZE:
        raise EnvironmentUnsupported(
            f"the files of this run have {needed >> 20} MiB, and a virtual machine in virtual time takes "
            f"{SIZE >> 20} MiB",
            "Run it in a smaller directory, or with --real-time, where the machine reads this machine's own files.",
        )
    with file.open("wb") as out:
        out.truncate(SIZE)
        out.write(_HEADER.pack(0, 0, len(delivery.job), len(delivery.archive), 0))
        out.seek(_PAGE)
        out.write(delivery.job)
        out.seek(_PAGE + _padded(len(delivery.job)))
        out.write(delivery.archive)


def read_reply(file: Path) -> Reply | None:
    """What the guest left; None if its job did not end.

    Raises:
        KernelFailed: The results do not fit.
    """
    with file.open("rb") as source:
        ended, status, _, _, length = _HEADER.unpack(source.read(_HEADER.size))
        if ended == _TOO_LARGE:
            raise KernelFailed(
                f"the results of the run have {length >> 20} MiB, and a virtual machine in virtual time returns at "
                f"most {SIZE >> 20} MiB: record less, or use --real-time"
            )
        if ended != _ENDED:
            return None
        source.seek(_PAGE)
        return Reply(status, source.read(length))


class GuestMailbox:
    """The mailbox as the guest sees it, in its physical memory.

    Args:
        address: Where it is.

    Raises:
        OSError: The kernel does not give access to it.
    """

    def __init__(self, address: int) -> None:
        descriptor = os.open("/dev/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            self._memory = mmap.mmap(descriptor, SIZE, offset=address)
        finally:
            os.close(descriptor)

    def delivery(self) -> Delivery:
        """The job and its files."""
        _, _, job, archive, _ = _HEADER.unpack(self._memory[:_PAGE][: _HEADER.size])
        files = _PAGE + _padded(job)
        return Delivery(
            self._memory[_PAGE : _PAGE + _padded(job)][:job], self._memory[files : files + _padded(archive)][:archive]
        )

    def reply(self, reply: Reply) -> None:
        """Leave the results; if they do not fit, only their size."""
        length = len(reply.results)
        fits = _PAGE + _padded(length) <= SIZE
        if fits:
            self._memory[_PAGE : _PAGE + _padded(length)] = reply.results.ljust(_padded(length), b"\0")
        header = _HEADER.pack(_ENDED if fits else _TOO_LARGE, reply.status, 0, 0, length)
        self._memory[:_PAGE] = header.ljust(_PAGE, b"\0")
