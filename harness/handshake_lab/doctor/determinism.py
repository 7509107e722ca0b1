"""Whether runs repeat on this machine: programs in several languages, each run under several conditions, compared."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.doctor.check import apt_install
from handshake_lab.doctor.host_conditions import CONDITIONS, SHORT
from handshake_lab.recording.repeats import first_difference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from handshake_lab.doctor.host_conditions import Condition

_SOURCES = Path(__file__).with_name("repeated_programs")
#: Seconds of wall time for a run, and for compiling a program.
_RUN_LIMIT, _COMPILE_LIMIT = 300.0, 300.0
#: Records a program in a new process, whose conditions are not this one's.
_RECORD = """
import sys
from handshake_lab import record
record(servers=["python3 server.py"], clients=[sys.argv[1]], links=["delay=20ms,loss=5%"], seed=7, out=sys.argv[2])
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A program whose runs are compared.

    Attributes:
        language: What it is written in.
        command: What runs it, in the directory of the programs.
        needs: The program of this machine that compiles or runs it.
        package: The Debian package of that.
        compile: What compiles it, in that directory; () if nothing does.
    """

    language: str
    command: str
    needs: str
    package: str
    compile: tuple[str, ...] = ()


SUBJECTS = (
    Subject("Python", "python3 python_program.py", "python3", "python3"),
    Subject("C++", "./cpp_program", "g++", "g++", ("g++", "-O1", "-std=c++17", "-o", "cpp_program", "cpp_program.cpp")),
    Subject("Go", "./go_program", "go", "golang-go", ("go", "build", "-o", "go_program", "go_program.go")),
    Subject("Java", "java -cp . JavaProgram", "javac", "default-jdk-headless", ("javac", "JavaProgram.java")),
    Subject("JavaScript", "node node_program.js", "node", "nodejs"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The runs of one program.

    Attributes:
        language: Of the program.
        condition: The condition of the run; "" if none was possible.
        same: Whether the run is the same as the first one; None if it was not made.
        detail: The first difference, or why there is no run.
    """

    language: str
    condition: str
    same: bool | None
    detail: str = ""


def examine(*, short: bool) -> Iterator[Comparison]:
    """Run each program under each condition, and compare.

    Args:
        short: Only under the conditions that reveal the most differences, for continuous integration.

    Yields:
        A comparison at a time, as soon as it is made.
    """
    conditions = [each for each in CONDITIONS if not short or each.name in SHORT]
    with tempfile.TemporaryDirectory(prefix="handshake-determinism-") as directory:
        first, other = Path(directory, "programs"), Path(directory, "elsewhere")
        shutil.copytree(_SOURCES, first, ignore=shutil.ignore_patterns("__*"))
        for subject in SUBJECTS:
            if shutil.which(subject.needs) is None:
                yield Comparison(subject.language, "", None, f"not installed: {apt_install(subject.package)}")
            elif failed := _compile(subject, first):
                yield Comparison(subject.language, "", None, f"cannot be compiled: {failed}")
            else:
                shutil.copytree(first, other, copy_function=shutil.copy, dirs_exist_ok=True)  # made at another time
                yield from _compared(subject, conditions, first, other, Path(directory))


def _compile(subject: Subject, place: Path) -> str:
    """Compile a program; "" if it worked, else the last line of what the compiler printed."""
    if not subject.compile:
        return ""
    # A cache of its own, for a user without a home directory.
    environment = {**os.environ, "GOCACHE": str(place.parent / "go"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    try:
        done = subprocess.run(
            subject.compile,
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_COMPILE_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return f"it takes longer than {_COMPILE_LIMIT:g} s"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]


def _compared(
    subject: Subject, conditions: list[Condition], first: Path, other: Path, directory: Path
) -> Iterator[Comparison]:
    reference: Path | None = None
    for number, condition in enumerate(conditions):
        out = directory / f"{subject.language}-{number}"
        failed = _record(subject, condition, other if condition.elsewhere else first, out)
        if failed:
            yield Comparison(subject.language, condition.name, None, failed)
        elif reference is None:
            reference = out
        else:
            difference = first_difference(reference, out)
            yield Comparison(subject.language, condition.name, difference is None, str(difference or ""))


def _record(subject: Subject, condition: Condition, place: Path, out: Path) -> str:
    """Record a program under a condition; "" if it worked, else the last line of the error."""
    environment = {**os.environ, "XDG_CACHE_HOME": _cache(), **condition.environment}
    run = subprocess.Popen(
        [sys.executable, "-c", _RECORD, subject.command, str(out)],
        cwd=place,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=condition.before,  # noqa: PLW1509  there is no other thread
    )
    with condition.meanwhile(run) if condition.meanwhile else contextlib.nullcontext():
        try:
            printed, _ = run.communicate(timeout=_RUN_LIMIT)
        except subprocess.TimeoutExpired:
            run.kill()
            run.communicate()
            return f"it takes longer than {_RUN_LIMIT:g} s"
    return "" if run.returncode == 0 else (printed.strip().splitlines() or ["it failed"])[-1]


def _cache() -> str:
    """The directory of the user's caches, whatever home directory a condition says."""
    return os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
