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
    "short_read": ("of=drop", 6, 10, ["drop ACK nth=1 from h2"]),
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


#: Half of them are run wherever tests are run; all of them without -m "not handshake_slow".
QUICK = ("half_close", "dead_accept_loop", "starved_queue", "leaked_attempt", "short_read", "one_retry")
CHOSEN = [pytest.param(name, marks=() if name in QUICK else pytest.mark.handshake_slow) for name in BUGS]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_planted_bug_is_found(project: Project, name: str) -> None:
    """Reduced to its minimum; the test that is written for it fails alone, and passes with the repaired program."""
    settings, runs, _, minimum = BUGS[name]
    project.write(test_shop=(PLANTED / f"{name}.py").read_text())

    result, (finding,) = project.explore(f"{settings} findings=1")

    result.assert_outcomes(failed=1)
    assert finding.repeatable
    assert " + ".join(map(str, finding.faults)) in minimum
    assert finding.runs <= runs
    (test,) = project.found_tests()
    project.run(test.name).assert_outcomes(failed=1)
    test.write_text(test.read_text().replace("REPAIRED = False", "REPAIRED = True"))
    project.run(test.name).assert_outcomes(passed=1)


@pytest.mark.handshake_slow
@pytest.mark.parametrize("name", ["half_close", "dead_accept_loop", "ports_exhausted", "one_retry"])
def test_a_planted_bug_is_found_in_a_random_order(project: Project, name: str) -> None:
    """Within the number of runs that there are at most, and with the same minimum.

    Others are found so by benchmarks/explore.py, which tries all of them.
    """
    settings, _, runs, minimum = BUGS[name]
    project.write(test_shop=(PLANTED / f"{name}.py").read_text())

    _, (finding,) = project.explore(f"{settings} findings=1 shuffle=3")

    assert " + ".join(map(str, finding.faults)) in minimum
    assert finding.runs <= runs


@pytest.mark.handshake_slow
@pytest.mark.parametrize("name", BUGS)
def test_nothing_is_found_in_the_repaired_program(project: Project, name: str) -> None:
    """With the same faults."""
    project.write(test_shop=(PLANTED / f"{name}.py").read_text().replace("REPAIRED = False", "REPAIRED = True"))

    result, findings = project.explore(BUGS[name][0])

    result.assert_outcomes(passed=1)
    assert findings == []
