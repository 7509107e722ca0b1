"""A student's work on a unit: who, which seed, what was predicted, which runs were seen, which hints were used."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from handshake_lab.courses.numbers import ID

#: The version of the files of this module.
FORMAT = 1
_Short = Annotated[str, msgspec.Meta(max_length=200)]
_Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Answers = Annotated[dict[_Short, Annotated[str, msgspec.Meta(max_length=100_000)]], msgspec.Meta(max_length=200)]


class Work(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is kept between the commands of a student, and handed in.

    Attributes:
        format: `FORMAT`.
        unit: The name of the unit.
        version: Its version.
        package: The version of this package.
        student: The student's id.
        course: The course that the seed is for.
        seed: The seed.
        lang: The language of the texts.
        release: The kernel on which the experiments ran; before, the one with which the folder was started.
        predictions: The locked predictions by question; None: they are not locked yet.
        lock: The digest of the predictions, made when they were locked.
        runs: The digest of each run that was seen, by experiment.
        hints: The questions whose hints were shown.
        attempts: How often the answer to each question was checked and was wrong.
        answers: The answers by question; filled in when the work is handed in.
    """

    format: int = FORMAT
    unit: Annotated[str, msgspec.Meta(pattern=r"^[\w-]{1,80}\Z")]
    version: int
    package: _Short
    student: Annotated[str, msgspec.Meta(pattern=ID)]
    course: _Short
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
    lang: _Short
    release: _Short = ""
    predictions: _Answers | None = None
    lock: _Short = ""
    runs: Annotated[dict[_Short, _Digest], msgspec.Meta(max_length=100)] = {}
    hints: Annotated[list[_Short], msgspec.Meta(max_length=200)] = []
    attempts: Annotated[
        dict[_Short, Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]], msgspec.Meta(max_length=200)
    ] = {}
    answers: _Answers = {}

    def expected_lock(self) -> str:
        """The digest of the predictions with all that they were made for."""
        content = [
            self.unit,
            self.version,
            self.student,
            self.course,
            self.seed,
            sorted((self.predictions or {}).items()),
        ]
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
