"""The summary of a session: edges with the tests that took them and their observers; TCP time and wall time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.checkout.scenarios.catalogue import Scenario
from handshake_lab.checkout.scenarios.outcomes import by_scenario, proofs
from handshake_lab.recording.observations import FORMAT_VERSION
from handshake_lab.report.export.pytest_document import PytestResult, PytestSession
from handshake_lab.tcp.diagram.lookup import EDGES
from handshake_lab.verdict.edge_coverage import Coverage

if TYPE_CHECKING:
    from plugin.conftest import Project


def test_edge_coverage(project: Project) -> None:
    """--handshake-edge-coverage prints a table, which the JSON and the drawing agree with, and a limit fails."""
    project.write(
        test_it="""
            import pytest

            def test_opens(net):
                net.h1.connect(net.h2.listen(80))

            def test_refused(net):
                with pytest.raises(ConnectionRefusedError):
                    net.h1.connect(("h2", 80))
        """
    )

    result, session = project.session(
        "--handshake-edge-coverage",
        "--handshake-edge-coverage-fail-under=50",
        "--handshake-edge-coverage-svg=edges.svg",
    )

    opens, refused = session["tests"]
    taken = [each["edge"] for each in session["edges"] if each["taken"]]
    drawing = (project.path / "edges.svg").read_text("utf-8")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*edge coverage: 6 of the * edges that Linux has*",
            "✓ 2      CLOSED→SYN-SENT * test_opens, test_refused; seen by *tracepoint*",
            "· 5      LISTEN→SYN-SENT * not in Linux: *",
            "✓ 7      SYN-SENT→ESTABLISHED * test_opens; seen by *",
            "✓ 25     SYN-SENT→CLOSED * test_refused; seen by *",
            "FAIL: edge coverage of * % is less than 50 %",
            "TCP time *, wall time *",
        ]
    )
    assert (opens["name"], sorted(opens["edges"])) == ("opens", ["1", "10", "2", "4", "7"])
    assert (refused["name"], sorted(refused["edges"])) == ("refused", ["2", "25"])
    assert taken == ["1", "2", "4", "7", "10", "25"]
    assert session["edges_covered"] == 6
    assert drawing.count('class="edge by-left"') == len({(e.old, e.new) for e in EDGES if e.id in taken})


def test_coverage_of_nothing() -> None:
    """Without a test, no edge is covered, and each that Linux lacks is listed with the reason."""
    coverage = Coverage()
    lines = list(coverage.lines())

    assert (coverage.covered, coverage.percent) == ([], 0.0)
    assert coverage.total == sum(edge.in_linux for edge in EDGES)
    assert [line for line in lines if "not in Linux: " in line and len(line.rpartition(": ")[2]) > 20] == [
        line for line, edge in zip(lines, EDGES, strict=True) if not edge.in_linux
    ]


def test_coverage_of_what_linux_lacks() -> None:
    """An edge that the diagram marks as absent from Linux does not count, even if a record has it."""
    coverage = Coverage()
    lacking = next(edge.id for edge in EDGES if not edge.in_linux)
    coverage.add("test", [(lacking, ["diag"])])

    assert coverage.covered == []


SCENARIO = Scenario(number=3, name="syn_lost_1", subject="opening", what="", test="t.py::test_syn_lost_1")


def _session(*tests: PytestResult) -> PytestSession:
    return PytestSession(FORMAT_VERSION, 0, 0, 0, 0, 0, 0.0, 0.0, list(tests), [])


def test_scenario_of_several_tests() -> None:
    """A scenario with parameters is as good as the worst of its tests, and takes the edges of all."""
    session = _session(
        PytestResult("syn_lost_1[a]", "t.py::test_syn_lost_1[a]", tcp_seconds=1.0, edges=["1"]),
        PytestResult("syn_lost_1[b]", "t.py::test_syn_lost_1[b]", outcome="failed", tcp_seconds=2.0, edges=["2"]),
        PytestResult("syn_lost_12", "t.py::test_syn_lost_12", outcome="skipped", edges=["3"]),
    )

    [outcome] = by_scenario(session, [SCENARIO])

    assert (outcome.outcome, outcome.tcp_seconds, outcome.edges) == ("failed", 3.0, ["1", "2"])


def test_scenario_that_never_ran() -> None:
    """A scenario whose test never ran did not pass."""
    [outcome] = by_scenario(_session(), [SCENARIO])

    assert outcome.outcome == "failed"


@pytest.mark.parametrize(
    ("mutants", "can_fail"),
    [
        ({"cause": "caught", "states": "caught"}, True),
        ({"cause": "caught", "states": "unnoticed"}, True),
        ({"cause": "nothing", "states": "unnoticed", "times": "caught"}, True),
        ({"cause": "survived", "states": "caught"}, False),
        ({"cause": "nothing", "states": "unnoticed"}, False),
        ({"cause": "caught", "states": "crashed"}, False),
        ({}, False),
    ],
)
def test_proofs(mutants: dict[str, str], *, can_fail: bool) -> None:
    """A scenario can fail if it needs its faults, where it has any, and notices a false record; a crash is no proof."""
    tests = [
        PytestResult("", f"t.py::test_syn_lost_1[broken-{kind}]", mutation=came_to) for kind, came_to in mutants.items()
    ]

    [proof] = proofs(_session(*tests), [SCENARIO])

    assert proof.can_fail is can_fail
