"""Hand-ins of students who exist for tests only: right, wrong, edited, strange."""

from __future__ import annotations

import stat
import zipfile
from typing import TYPE_CHECKING

import msgspec
from handshake_lab.courses.digest import digest
from handshake_lab.courses.handing_in import DOCUMENT, LARGEST_FILE
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.numbers import seed_of
from handshake_lab.courses.proof import model_answer, wrong_answer
from handshake_lab.courses.work import Work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from handshake_lab.courses.experiments import Laboratory
    from handshake_lab.courses.unit import Unit

COURSE = "net-2026"


def work_of(unit: Unit, student: str, laboratory: Laboratory, *, right: bool = True) -> Work:
    """The work of a student who answers everything right, or everything wrong."""
    seed = seed_of(student, COURSE)
    answers = {}
    for question in unit.file.questions:
        if question.kind == "text":
            answers[question.id] = "Because it is so."
            continue
        key = key_of(unit, question, seed, laboratory)
        answers[question.id] = model_answer(unit, question, key, seed) if right else wrong_answer(question, key)
    predicted = {question.id for question in unit.file.questions if question.predict}
    runs = {name: digest(laboratory.run(unit, name, seed).record) for name in unit.file.experiments}
    work = Work(
        unit=unit.name, version=unit.file.version, package="0", student=student, course=COURSE, seed=seed, lang="en",
        release=laboratory.release, runs=runs,
        predictions={name: answer for name, answer in answers.items() if name in predicted},
        answers={name: answer for name, answer in answers.items() if name not in predicted},
    )  # fmt: skip
    work.lock = work.expected_lock()
    laboratory.forget()
    return work


def archive(file: Path, *members: tuple[str, bytes], kind: int = stat.S_IFREG) -> None:
    """An archive with any members."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(info, content)


def _links(file: Path) -> None:
    file.symlink_to("/etc/passwd")


def _with_id(student: str) -> bytes:
    """A document that is complete but for its id."""
    made = Work(unit="small", version=1, package="0", student=student, course=COURSE, seed=1, lang="en")
    return msgspec.json.encode(made)


#: Files that are no hand-ins, or hostile ones, with the status that each must have.
STRANGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "empty": ("empty", lambda file: file.write_bytes(b"")),
    "empty-document": ("empty", lambda file: archive(file, (DOCUMENT, b"  "))),
    "text": ("unreadable", lambda file: file.write_text("my answers: 1 18 16")),
    "cut": ("unreadable", lambda file: file.write_bytes(b"PK\x03\x04 this is cut")),
    "not-json": ("unreadable", lambda file: archive(file, (DOCUMENT, b"\x80\x00 not JSON"))),
    "deep": ("unreadable", lambda file: archive(file, (DOCUMENT, b"[" * 500_000))),
    "deep-object": ("unreadable", lambda file: archive(file, (DOCUMENT, b'{"format":1,"x":' + b"[" * 500_000))),
    "other-document": ("unreadable", lambda file: archive(file, (DOCUMENT, b'{"format": 1, "student": "=cmd()"}'))),
    "newline-in-id": ("unreadable", lambda file: archive(file, (DOCUMENT, _with_id("kim\n")))),
    "climbing-id": ("unreadable", lambda file: archive(file, (DOCUMENT, _with_id("../kim")))),
    "old-format": ("version", lambda file: archive(file, (DOCUMENT, b'{"format": 0}'))),
    "climbs": ("hostile", lambda file: archive(file, ("../../.ssh/authorized_keys", b"ssh-rsa"))),
    "two": ("hostile", lambda file: archive(file, (DOCUMENT, b"{}"), ("/etc/cron.d/x", b"* * * * *"))),
    "bomb": ("hostile", lambda file: archive(file, (DOCUMENT, bytes(50_000_000)))),
    "large": ("hostile", lambda file: file.write_bytes(bytes(LARGEST_FILE + 1))),
    "member-is-link": ("hostile", lambda file: archive(file, (DOCUMENT, b"/etc/passwd"), kind=stat.S_IFLNK)),
    "link": ("hostile", _links),
}
