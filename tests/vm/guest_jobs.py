"""Jobs for the tests of virtual machines: what runs inside the kernel must be importable there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

#: Seconds between the two files whose dates show whether the guest's clock runs as fast as the host's.
INTERVAL = 5.0


def look_around(argument: Any, results: Path) -> None:
    """Write two files some time apart, and down what can be seen of the kernel and the host."""
    began = time.monotonic()
    (results / "before").touch()
    time.sleep(INTERVAL)
    (results / "after").touch()
    took = time.monotonic() - began
    refused = {}
    for directory in ("/", "/usr", "/etc", *argument["readable"]):
        try:
            Path(directory, "handshake-probe").touch()
        except OSError as error:
            refused[directory] = error.strerror
    found = {
        "took": took,
        "refused": refused,
        "release": os.uname().release,
        "uid": os.getuid(),
        "private": [entry.name for entry in Path("/tmp").iterdir()],  # noqa: S108
        "read": [Path(directory, "note").read_text() for directory in argument["readable"]],
        "tracepoints": Path("/sys/kernel/tracing/events/sock/inet_sock_set_state/format").exists(),
    }
    (results / "found.json").write_text(json.dumps(found))


def panic(_: Any, __: Path) -> None:
    """Make the kernel panic."""
    Path("/proc/sysrq-trigger").write_text("c")


def wait_for_ever(_: Any, results: Path) -> None:
    """Report that it has begun, then wait for an event that never occurs."""
    (results / "began").touch()
    while True:
        time.sleep(60)


def pass_time(argument: Any, results: Path) -> None:
    """Wait for an hour, compute, and write down the clock, random numbers and the counts of interrupts."""
    began = time.monotonic_ns()
    time.sleep(3600)
    slept = time.monotonic_ns() - began
    computed = sum(number * number % 7 for number in range(argument["steps"]))
    found = {
        "slept": slept,
        "computed": computed,
        "ended": time.monotonic_ns(),
        "date": time.time_ns(),
        "random": os.urandom(16).hex(),
        "uuid": Path("/proc/sys/kernel/random/uuid").read_text(),
        "interrupts": Path("/proc/interrupts").read_text(),
        "flags": Path("/proc/cpuinfo").read_text(),
    }
    (results / "found.json").write_text(json.dumps(found))


def see_files(argument: Any, results: Path) -> None:
    """Write down what is there of some files, and write to a directory of the system."""
    Path("/usr/handshake-written").touch()
    found = {path: Path(path).exists() for path in argument["paths"]}
    found["written"] = Path("/usr/handshake-written").exists()
    (results / "deep").mkdir()
    (results / "deep/found.json").write_text(json.dumps(found))
