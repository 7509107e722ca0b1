"""Jobs for the tests of booting: what runs inside the kernel must be importable there."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from handshake_lab.experiment.run_start import begin


def sleep_a_minute(_: Any, results: Path) -> None:
    """Measure a minute of the guest's time."""
    before = time.monotonic_ns()
    time.sleep(60)
    (results / "slept").write_text(str(time.monotonic_ns() - before))


def chance(_: Any, results: Path) -> None:
    """Write down everything that could differ from run to run."""
    seen = [os.urandom(16).hex(), random.random(), hash("a string"), time.time_ns(), os.getpid()]  # noqa: S311
    # The list of sockets then contains their real addresses in the kernel.
    Path("/proc/sys/kernel/kptr_restrict").write_text("1")
    with socket.socket(socket.AF_UNIX):
        seen += [Path("/proc/net/unix").read_text(), Path("/proc/cmdline").read_text()]
    (results / "chance").write_text(repr(seen))


def chance_of_a_run(history: int, results: Path) -> None:
    """Write the random numbers that are drawn after the start of a run, after this many programs have run."""
    for _ in range(history):
        subprocess.run([sys.executable, "-c", "import os, time; os.urandom(5); time.time()"], check=True)
    begin(7, "run")
    seen = [os.urandom(16).hex(), random.random(), hash("a string")]  # noqa: S311
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        seen.append(first.getsockname()[1])
    (results / "chance").write_text(repr(seen))


def spin(_: Any, __: Path) -> None:
    """Compute indefinitely without waiting."""
    while True:
        pass


def wait_for_ever(_: Any, __: Path) -> None:
    """Wait for an event that never occurs; virtual time advances by hours, indefinitely."""
    while True:
        time.sleep(3600)


def fail(_: Any, __: Path) -> None:
    """Raise."""
    raise ValueError("this job fails on purpose")


def give_status(argument: Any, _: Path) -> int:
    """Return a status."""
    return int(argument)


def panic(_: Any, __: Path) -> None:
    """Make the kernel panic, by exhausting its memory with vm.panic_on_oom set."""
    Path("/proc/sys/vm/panic_on_oom").write_text("1")
    exhaust(_, __)


def exhaust(_: Any, __: Path) -> None:
    """Take all the memory there is."""
    taken = []
    while True:
        taken.append(bytearray(os.urandom(1)) * (1 << 22))


def look_around(_: Any, results: Path) -> None:
    """Write beside files of the host, and over one; report what can be read afterwards."""
    for directory in ("/", "/usr", "/etc"):
        Path(directory, "handshake-probe").write_text("written")
    Path("/etc/hosts").write_text("replaced")
    files = ("/handshake-probe", "/usr/handshake-probe", "/etc/handshake-probe", "/etc/hosts")
    (results / "written").write_text(" ".join(Path(file).read_text() for file in files))


def surroundings(_: Any, results: Path) -> None:
    """Write everything that could distinguish a fork from a fresh boot."""
    Path("/proc/sys/kernel/kptr_restrict").write_text("1")
    seen: list[object] = [os.urandom(16).hex(), random.random(), hash("a string")]  # noqa: S311
    seen += [time.time_ns(), time.monotonic_ns(), time.process_time_ns(), os.getpid(), Path.cwd()]
    seen += [sorted(file.name for file in Path("/proc/self/fd").iterdir())]
    seen += [sorted(os.environ.items()), sys.path, sys.argv, os.umask(0o22), id(object)]
    seen += [os.stat(place).st_dev for place in ("/tmp", "/run", "/proc", results)]  # noqa: S108, PTH116
    with socket.socket(socket.AF_UNIX) as unix, socket.socket() as inet, (Path("/tmp") / "file").open("w") as file:  # noqa: S108
        inet.bind(("127.0.0.1", 0))
        seen += [os.fstat(each.fileno()).st_ino for each in (unix, inet, file)]
        seen += [inet.getsockname(), inet.getsockopt(socket.SOL_SOCKET, 57, 8).hex()]  # SO_COOKIE
        seen += [Path("/proc/net/unix").read_text(), Path("/proc/cmdline").read_text()]
    shown = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid(), hash('a string'), os.urandom(4).hex())"],
        capture_output=True,
        text=True,
        check=True,
    )
    seen += [shown.stdout, Path("/proc/uptime").read_text(), Path("/proc/interrupts").read_text()]
    (results / "written").write_text(repr(seen).replace(str(results.parent), "SCRATCH"))


def leave_traces(_: Any, results: Path) -> None:
    """Write down what there is, and then change it."""
    setting = Path("/proc/sys/net/ipv4/tcp_fin_timeout")
    seen: list[object] = [setting.read_text(), os.environ.get("TRACE"), hasattr(time, "trace"), Path.cwd()]
    seen += [Path("/proc/self/mounts").read_text().count("tmpfs")]
    for directory in ("/tmp", "/sys/class/net"):  # noqa: S108
        seen += sorted(file.name for file in Path(directory).iterdir())
    (results / "written").write_text(repr(seen).replace(results.parent.name, "SCRATCH"))
    setting.write_text("7")
    Path("/tmp/trace").write_text("trace")  # noqa: S108
    os.environ["TRACE"] = "1"
    time.trace = True  # type: ignore[attr-defined]
    subprocess.run("mount -t tmpfs none /mnt; ip link add trace type dummy; sleep 1000 &", shell=True, check=True)  # noqa: S602
    os.chdir("/tmp")  # noqa: S108


def read_files(directory: str, results: Path) -> None:
    """Write down all files of a directory."""
    files = [(entry.name, Path(entry.path).read_text()) for entry in os.scandir(directory)]
    (results / "written").write_text(repr(sorted(files)))


def module_value(name: str, results: Path) -> None:
    """Write the output of a module."""
    (results / "written").write_text(str(sys.modules[name].VALUE))
