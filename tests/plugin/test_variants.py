"""Other ways to run a test: with many seeds under random loss, and broken on purpose."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from handshake_lab.recording.events_file import read
from handshake_lab.recording.observations import RunEnd

if TYPE_CHECKING:
    from pathlib import Path

    from plugin.conftest import Project

LOSSY = """
    import pytest

    @pytest.mark.handshake_lossy(loss="30%")
    def test_opens(net):
        client = net.h1.connect(net.h2.listen(80))
        sent = [segment for segment in net.record().segments if segment.flags == "S"]
        assert net.history(client).states[-1] == "ESTABLISHED"
        assert len(sent) == 1

    def test_ordinary(net):
        pass
"""


def test_seeds(project: Project) -> None:
    """A test marked lossy runs once for each seed; a failure contains the command that repeats it exactly."""
    project.write(test_it=LOSSY)

    result, session = project.session("--handshake-seeds=1-6", "--handshake-artifacts=first")

    seeds = {each["test"]: each for each in session["tests"]}
    failed = [each for each in seeds.values() if each["outcome"] == "failed"]
    assert list(seeds) == [
        *(f"test_it.py::test_opens[seed{seed}]" for seed in range(1, 7)),
        "test_it.py::test_ordinary",
    ]
    assert 0 < len(failed) < 6, "30 % of loss lose a SYN or its answer for some of six seeds, not for all"
    result.stdout.fnmatch_lines([f"*random loss: {6 - len(failed)} of 6 runs hold*", f"again: {failed[0]['replay']}"])

    words = shlex.split(failed[0]["replay"])
    assert words[0] == "pytest"
    project.run(*words[1:], "--handshake-artifacts=second").assert_outcomes(failed=1)
    first, second = (project.path / kept / f"test_it.py-test_{failed[0]['name']}" for kept in ("first", "second"))
    assert _events(first / "events.jsonl") == _events(second / "events.jsonl")


def _events(file: Path) -> list[str]:
    """The events without the header, which contains a different command."""
    return file.read_text().splitlines()[1:]


def test_lossy_without_seeds(project: Project) -> None:
    """Without --handshake-seeds, a test marked lossy runs like any other, and without loss."""
    project.write(test_it=LOSSY)

    project.run("-k", "opens").assert_outcomes(passed=1, deselected=1)


def test_what_is_not_documented_fails_with_a_whole_record(project: Project) -> None:
    """A deviation that no loss of segments explains. Linux has none that is known: the diagram lacks an edge here."""
    project.write(
        conftest="""
            import pytest
            from handshake_lab.tcp.diagram.lookup import edges_between
            from handshake_lab.verdict import judge

            def of_another_diagram(old, new):
                return () if new == "FIN-WAIT-1" else edges_between(old, new)

            def pytest_configure(config):
                replaced = pytest.MonkeyPatch()
                replaced.setattr(judge, "edges_between", of_another_diagram)
                config.add_cleanup(replaced.undo)
        """,
        test_it="""
            import pytest

            @pytest.mark.handshake_lossy(loss="0%")
            def test_closes(net):
                net.h1.connect(net.h2.listen(80)).close()
        """,
    )

    result = project.run("--handshake-seeds=1")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "not as documented: *",
            "*ESTABLISHED→FIN-WAIT-1 *: not an edge of the diagram*",
            "*random loss: 0 of 1 runs hold*",
        ]
    )
    (kept,) = (project.path / "handshake-artifacts").glob("*closes*")
    assert isinstance(read(kept / "events.jsonl").observations[-1], RunEnd)


@pytest.mark.parametrize("given", ["1-", "a-b", "5-1", "-3", "1-99999999"])
def test_wrong_seeds(project: Project, given: str) -> None:
    """What is no list of seeds is refused with a right example."""
    result = project.run(f"--handshake-seeds={given}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --handshake-seeds: * is not *--handshake-seeds=1-50"])


def test_mutations(project: Project) -> None:
    """A test that is broken on purpose must fail by its own assertions: one that passes is found, and so is a crash."""
    project.write(
        test_it="""
            import pytest

            @pytest.mark.handshake(delay="50ms")
            def test_sound(net):
                net.drop("SYN", nth=1, from_="h1")
                client = net.h1.connect(net.h2.listen(80))
                assert net.history(client).states == ["CLOSED", "SYN-SENT", "ESTABLISHED"]
                assert net.history(client).time_in("SYN-SENT") / 1e9 >= 1.0

            @pytest.mark.handshake(faults="drop SYN nth=1 from h1")
            def test_vacuous(net):
                client = net.h1.connect(net.h2.listen(80))
                assert net.history(client).states[-1] == "ESTABLISHED"

            def test_no_cause(net):
                client = net.h1.connect(net.h2.listen(80))
                assert net.history(client).states[-1] == "ESTABLISHED"

            def test_crashes(net):
                fault = net.drop("SYN", nth=1, from_="h1")
                net.h1.connect(net.h2.listen(80))
                assert fault.fault.kind == "SYN"

            def test_left_out():
                pass
        """
    )

    result, session = project.session("--handshake-mutate=cause,states")

    came_to = {each["name"]: each["mutation"] for each in session["tests"]}
    assert came_to == {
        "sound[broken-cause]": "caught",
        "sound[broken-states]": "caught",
        "vacuous[broken-cause]": "survived",
        "vacuous[broken-states]": "caught",
        "no_cause[broken-cause]": "nothing",
        "no_cause[broken-states]": "caught",
        "crashes[broken-cause]": "crashed",
        "crashes[broken-states]": "nothing",
    }
    result.assert_outcomes(passed=4, failed=2, skipped=2, deselected=1)
    result.stdout.fnmatch_lines(
        ["this test cannot fail: it passes although its faults, settings and socket options are ignored"]
    )


def test_wrong_mutation(project: Project) -> None:
    """What cannot be broken is refused, with the nearest that can."""
    result = project.run("--handshake-mutate=cuase")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --handshake-mutate: 'cuase' is not a known mutation; the nearest is 'cause'*"])
