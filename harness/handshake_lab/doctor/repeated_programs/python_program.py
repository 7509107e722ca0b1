"""What Python sees: random numbers, the iteration order of sets, clocks, the metadata of files, the host."""

import os
import random
import socket
import time
import uuid
from pathlib import Path


def main() -> None:
    """Print it, and send so much of it that another run's segments differ if it does."""
    here = Path.cwd()
    seen = [
        random.random(),  # noqa: S311
        os.urandom(8).hex(),
        list({"a", "b", "c", "d", "e", "f"}),
        id(object()),
        time.time_ns(),
        time.monotonic_ns(),
        time.tzname,
        uuid.uuid1().time,
        socket.gethostname(),
        [(file.name, file.stat()) for file in here.iterdir()],
        os.statvfs(here),
        os.umask(0o22),
        Path("/proc/cpuinfo").read_text(),
        Path("/proc/mounts").read_text().count("\n"),
        os.environ.get("LANG"),
    ]
    text = repr(seen)
    print(text)  # noqa: T201
    with socket.create_connection(("h2", 80)) as connection:
        connection.sendall(text.encode()[: 100 + hash(text) % 1000])


if __name__ == "__main__":
    main()
