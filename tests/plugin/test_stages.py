"""The tests of a file share its collection, and nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest
    from plugin.conftest import Project

CHANCE = """
    import os, random, time
    import pytest

    SEEN = []
    AT_IMPORT = random.random()

    @pytest.mark.parametrize("seed", [pytest.param(n, marks=pytest.mark.handshake(seed=n)) for n in (1, 2, 1)])
    def test_chance(net, seed):
        SEEN.append(seed)
        print("drawn", len(SEEN), os.getpid(), AT_IMPORT, random.random(), os.urandom(4).hex(), time.time_ns())
"""


def test_tests_of_a_file_have_state_and_randomness_of_their_own(project: Project) -> None:
    """What one does to its module is not seen by the next; what is random follows from each one's seed."""
    project.write(test_it=CHANCE)

    first, second, third = drawn(project.run("-s"))

    assert first == third
    assert first.split()[:4] == second.split()[:4] == ["drawn", "1", *first.split()[2:4]]
    assert first.split()[4] != second.split()[4]
    assert first.split()[5] != second.split()[5]


def test_a_test_in_a_shared_collection_is_what_it_is_alone(project: Project) -> None:
    """In a kernel booted for it."""
    project.write(test_it=CHANCE)

    shared, booted = drawn(project.run("-s")), drawn(project.run("-s", "--handshake-fresh-boot"))

    assert shared == booted
    assert len(shared) == 3


def drawn(result: pytest.RunResult) -> list[str]:
    """The lines that the tests printed."""
    result.assert_outcomes(passed=3)
    return [line[line.index("drawn") :] for line in result.outlines if "drawn" in line]


def test_a_file_that_changed_is_collected_again(project: Project) -> None:
    """A session that follows in the same process has the file's tests as they are now, and those of its conftest."""
    project.write(
        conftest="VALUE = 1", test_it="from conftest import VALUE\n\ndef test_a(net):\n    print('value', VALUE, 10)"
    )
    assert "value 1 10" in project.run("-s").stdout.str()

    project.write(
        conftest="VALUE = 22", test_it="from conftest import VALUE\n\ndef test_a(net):\n    print('value', VALUE, 10)"
    )
    assert "value 22 10" in project.run("-s").stdout.str()

    project.write(test_it="from conftest import VALUE\n\ndef test_a(net):\n    print('value', VALUE, 333)")
    assert "value 22 333" in project.run("-s").stdout.str()


def test_a_file_that_cannot_be_collected_in_the_kernel_says_why(project: Project) -> None:
    """The error is that of the import there, for each of its tests."""
    project.write(
        test_it="""
        import os
        if "HANDSHAKE_INSIDE" in os.environ:
            raise ValueError("not in here")

        def test_a(net): ...
        def test_b(net): ...
        """
    )

    result = project.run()

    result.assert_outcomes(failed=2)
    assert len(re.findall(r"ValueError: not in here", result.stdout.str())) >= 2


SHARED = """
    import os
    import time
    import handshake_lab
    import pytest

    RUNS = []

    @pytest.fixture(scope="session")
    @handshake_lab.shared
    def built(tmp_path_factory):
        RUNS.append(os.getpid())
        directory = tmp_path_factory.mktemp("built")
        (directory / "runs").write_text("x")
        time.sleep(3600)
        yield directory

    @pytest.fixture(scope="session")
    def not_shared():
        RUNS.append("not shared")

    @pytest.mark.parametrize("number", range(3))
    def test_it(net, built, not_shared, number):
        (built / "runs").write_text((built / "runs").read_text() + "x")
        with (built / "runs").open() as runs:
            print("drawn", len(RUNS), RUNS[-1], len(runs.read()), time.monotonic() > 3600)
"""


def test_a_shared_fixture_has_run_before_each_test(project: Project) -> None:
    """What it left is there, as it left it: files, variables, and the time that it took; other fixtures run later."""
    project.write(test_it=SHARED)

    assert drawn(project.run("-s")) == ["drawn 2 not shared 2 True"] * 3


def test_a_shared_fixture_runs_likewise_in_a_kernel_of_its_own(project: Project) -> None:
    """In the same order, with the same results, where each test boots."""
    project.write(test_it=SHARED)

    assert drawn(project.run("-s", "--handshake-fresh-boot")) == ["drawn 2 not shared 2 True"] * 3


def test_a_shared_fixture_that_fails_is_an_error_of_each_test(project: Project) -> None:
    """At its setup, with the fixture's own exception; tests that do not use it are not concerned."""
    project.write(
        test_it="""
        import handshake_lab
        import pytest

        @pytest.fixture(scope="module")
        @handshake_lab.shared
        def broken():
            raise LookupError("nothing to build")

        def test_one(net, broken):
            pass

        def test_two(net, broken):
            pass

        def test_three(net):
            pass
        """
    )
    result = project.run()

    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(["*LookupError: nothing to build"])
