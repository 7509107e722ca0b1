"""Inode numbers of sockets: each socket and each pipe takes the next one (fs/inode.c, get_next_ino())."""

from __future__ import annotations

import _socket  # socket.socketpair() asks for the name of each of them, too
import itertools
import os
import socket

#: The numbers of each stage of a run begin a little above a multiple of this.
STAGE = 1024
#: How many pairs of sockets are open at a time: well below the limit of 1024 descriptors.
_PAIRS = 200


def skip_to(multiple: int, *, before: int = 0) -> None:
    """Use inode numbers, so that the next one is a little above a multiple of a number.

    By few system calls: each takes 10 us of real time in the lab kernel.

    Args:
        multiple: The number.
        before: How many numbers below the multiple to stop.
    """
    with socket.socket(socket.AF_UNIX) as first:
        missing = (-before - os.fstat(first.fileno()).st_ino) % multiple
    if missing % 2:
        socket.socket(socket.AF_UNIX).close()
    for batch in range(0, missing // 2, _PAIRS):
        pairs = [_socket.socketpair() for _ in range(min(_PAIRS, missing // 2 - batch))]
        descriptors = sorted(end.detach() for pair in pairs for end in pair)
        # A number that somebody else has lies between two stretches of these.
        for _, stretch in itertools.groupby(enumerate(descriptors), lambda place: place[1] - place[0]):
            numbers = [number for _, number in stretch]
            os.closerange(numbers[0], numbers[-1] + 1)
