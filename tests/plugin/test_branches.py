"""Tests that branch: each continues in several ways, and fails if one of them fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin.conftest import Project

TEST = """
    import pytest

    @pytest.mark.handshake(delay="50ms")
    def test_a_connection(net):
        server = net.h2.listen(80)
        for branch in net.branches(at="SYN-ACK nth=1", of=("deliver", "drop", "delay 300ms")):
            client = net.h1.connect(server)
            waited = net.history(client).time_in("SYN-SENT") / 1e9
            print(branch.decisions, waited)
            assert CHECK
"""


def test_a_test_passes_if_all_its_branches_do(project: Project) -> None:
    """It is one test, whatever the number of its branches."""
    right = "round(waited, 1) == {'deliver': 0.1, 'drop': 1.1, 'delay 300ms': 0.4}[branch.decisions[0]]"
    project.write(test_it=TEST.replace("CHECK", right))

    project.run("-q").assert_outcomes(passed=1)


def test_a_test_fails_with_the_branch_that_fails(project: Project) -> None:
    """It shows the decisions, the ladder of that branch, and a command that runs it alone, which fails as well."""
    project.write(test_it=TEST.replace("CHECK", "waited < 1"))

    result = project.run("-q")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*assert 1.* < 1*",
            "*branch*",
            "drop: SYN-ACK nth=1 (number 1)",
            "*X*#2 SYN-ACK*",
            "*pytest *--handshake-follow 1*",
        ]
    )
    alone = project.run("-q", "--handshake-follow", "1")
    alone.assert_outcomes(failed=1)
    alone.stdout.fnmatch_lines(["*assert 1.* < 1*"])
    project.run("-q", "--handshake-follow", "0").assert_outcomes(passed=1)


def test_a_test_cannot_branch_in_a_kernel_booted_for_it(project: Project) -> None:
    """Which is said with what to do."""
    project.write(test_it=TEST.replace("CHECK", "True"))

    result = project.run("-q", "--handshake-fresh-boot")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*this run cannot branch*"])
