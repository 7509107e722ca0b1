"""Planted bugs: each is found within a stated number of runs, and made as small as stated; repaired, nothing is found.

The programs are in ``planted/``; each says what is wrong with it, and has a flag that repairs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from explore.conftest import Project

PLANTED = Path(__file__).with_name("planted")

#: By name: what is tried; within how many runs it is found, in the order of the segments and in a random order; and to
#: which faults it is reduced.
BUGS = {
    "half_close": ("of=drop", 5, 12, ["drop DATA nth=1 from h1"]),
    "reset_at_idle": ("of=reset", 8, 12, ["inject RST to h1 on DATA nth=2", "inject RST to h2 on ACK nth=3"]),
    "executed_twice": ("of=drop", 5, 10, ["drop DATA nth=1 from h1", "drop DATA nth=1 from h2"]),
    "dead_accept_loop": ("of=reset", 5, 17, ["inject RST to h2 on ACK nth=1"]),
    "no_read_timeout": ("of=reset", 5, 10, ["inject RST to h2 on DATA nth=1"]),
    "unread_data": ("of=drop", 9, 13, ["drop DATA nth=1 from h2"]),
    "starved_queue": ("of=drop", 5, 12, ["drop DATA nth=1 from h1"]),
    "order_assumed": ("of=drop", 5, 21, ["drop DATA nth=1 from h1"]),
    "ports_exhausted": ("of=drop", 9, 21, ["drop FIN nth=1 from h2"]),
    "leaked_attempt": ("of=drop", 2, 7, ["drop SYN nth=1 from h1", "drop SYN-ACK nth=1 from h2"]),
    "short_read": ("of=drop", 6, 10, ["drop ACK nth=1 from h2", "drop DATA nth=2 from h1"]),
    "one_retry": (
        "faults=2 of=drop",
        10,
        35,
        [
            "drop SYN nth=1 from h1 + drop SYN nth=2 from h1",
            "drop SYN nth=1 from h1 + drop SYN-ACK nth=1 from h2",
            "drop SYN-ACK nth=1 from h2 + drop SYN nth=2 from h1",
            "drop SYN-ACK nth=1 from h2 + drop SYN-ACK nth=2 from h2",
        ],
    ),
}


#: In the repaired programs, this number of schedules is tried: more than are needed to find each bug.
REPAIRED_RUNS = 12
#: Bugs whose findings are kept and written as tests here, which takes as long as finding all: of one fault, of a reset,
#: and of two.
WRITTEN = ("half_close", "dead_accept_loop", "one_retry")


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found(project: Project, name: str) -> None:
    """Reduced to its minimum, in a random order too; nothing is found in the repaired program."""
    settings, runs, in_random_order, minimum = BUGS[name]
    program = (PLANTED / f"{name}.py").read_text()
    project.write(test_shop=program, test_repaired=_repaired(program))

    searched = project.search(
        f"{settings} findings=1", test_shop=["", "shuffle=3"], test_repaired=[f"runs={REPAIRED_RUNS}"]
    )

    for exploration, most in zip(searched["test_shop"], (runs, in_random_order), strict=True):
        (finding,) = exploration.findings
        assert finding.repeatable
        assert " + ".join(map(str, finding.faults)) in minimum
        assert finding.runs <= most
    (exploration,) = searched["test_repaired"]
    assert exploration.findings == []
    assert exploration.runs == min(REPAIRED_RUNS, exploration.planned)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_planted_bug_becomes_a_test(project: Project, name: str) -> None:
    """The test that is written for it fails alone, and passes with the repaired program."""
    settings, *_ = BUGS[name]
    project.write(test_shop=(PLANTED / f"{name}.py").read_text())

    result, (finding,) = project.explore(f"{settings} findings=1")

    result.assert_outcomes(failed=1)
    assert finding.repeatable
    (test,) = project.found_tests()
    repaired = test.with_name("test_found_repaired.py")
    repaired.write_text(_repaired(test.read_text()))
    result = project.run(test.name, repaired.name)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([f"FAILED {test.name}::test_shop*"])


def _repaired(program: str) -> str:
    return program.replace("REPAIRED = False", "REPAIRED = True")
