"""Tests with and without ``net`` in one session: what the one kind sets up is torn down when the other kind follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugin.conftest import Project

#: A module whose last test needs a kernel; its fixture is that of the tests before.
FIRST = """
    import pytest

    @pytest.fixture(scope="module")
    def opened():
        print("opened")
        yield
        print("closed it")
        {at_the_end}

    def test_plain(opened):
        pass

    def test_in_a_kernel(net):
        assert net.h1.name == "h1"
"""
SECOND = """
    def test_of_another_module():
        pass
"""


def test_another_module_follows(project: Project) -> None:
    """The module's fixture is closed after its last test, before the next module begins."""
    project.write(test_first=FIRST.format(at_the_end="pass"), test_second=SECOND)
    result = project.run("-v", "-s")

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(
        ["*test_plain*opened*", "*test_in_a_kernel PASSED*closed it", "*test_of_another_module*"]
    )


def test_a_teardown_that_fails(project: Project) -> None:
    """It is an error of the last test that the fixture was there for, and of no other."""
    project.write(test_first=FIRST.format(at_the_end="raise RuntimeError('left open')"), test_second=SECOND)
    result = project.run()

    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_in_a_kernel*", "E*RuntimeError: left open"])


def test_a_kernel_comes_last(project: Project) -> None:
    """What is left is torn down with the session, and no sooner than its last test."""
    project.write(test_first=FIRST.format(at_the_end="pass"))
    result = project.run("-v", "-s")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*test_in_a_kernel PASSED*closed it"])
