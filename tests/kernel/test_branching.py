"""Branching: every way on from a segment, each as if it had been taken from the start."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from handshake_lab.errors import EnvironmentUnsupported, FaultNeverFired, UsageError
from handshake_lab.experiment.execute import conducted, explored
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.recording import branches
from handshake_lab.recording.run_files import BRANCH, EVENTS
from jobs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.kernel.lab.lab_images import LabKernelImage
    from handshake_lab.reconcile.stored_run import Run

SCRIPT = "tests.kernel.branching_scripts:exchange"


def plan(kernel: LabKernel, follow: Sequence[int] | None = None, **argument: Any) -> RunPlan:
    """The exchange over 50 ms in each direction."""
    return RunPlan(
        script=SCRIPT,
        argument=argument,
        links=parse_links(["delay=50ms"]),
        kernel=kernel.info,
        follow=None if follow is None else tuple(follow),
    )


def kernel(image: LabKernelImage, seed: int = 1) -> LabKernel:
    """A kernel that forks."""
    return LabKernel(image, seed=seed, wall_limit=30, fresh_boot=False)


def walk(image: LabKernelImage, seed: int = 1, **points: Any) -> list[tuple[list[int], list[str], bytes, Any]]:
    """All branches of an exchange: decisions by index and by name, events, and where each left the others."""
    lab = kernel(image, seed)
    return [
        (
            [taken.index for taken in run.branch],
            [taken.decision for taken in run.branch],
            (run.directory / EVENTS).read_bytes(),
            json.loads((run.directory / BRANCH).read_text()),
        )
        for run in explored(plan(lab, branches=points), lab, import_from=(REPOSITORY,))
    ]


def straight(image: LabKernelImage, follow: Sequence[int], seed: int = 1, **points: Any) -> bytes:
    """The events of one branch, taken from the start without parking."""
    lab = kernel(image, seed)
    with conducted(plan(lab, follow, branches=points), lab, import_from=(REPOSITORY,)) as run:
        return bytes((run.directory / EVENTS).read_bytes())


@pytest.mark.parametrize("seed", [1, 7])
def test_a_branch_is_what_its_decisions_give_from_the_start(image: LabKernelImage, seed: int) -> None:
    """To the byte: parking and forking leave no trace in a record."""
    points = {"at": "SYN-ACK nth=1", "of": ["deliver", "drop", "delay 300ms", "duplicate", "reset"]}
    found = walk(image, seed, **points)

    assert [names for _, names, _, _ in found] == [[name] for name in points["of"]]
    for indexes, _, events, _ in found:
        assert events == straight(image, indexes, seed, **points)


def test_a_branch_does_what_the_fault_does(image: LabKernelImage) -> None:
    """The same segments and states as where the fault was set beforehand."""
    lab = kernel(image)
    points = {"at": "SYN-ACK nth=1", "of": ["deliver", "drop", "reset"]}
    branches = [_gist(run) for run in explored(plan(lab, branches=points), lab, import_from=(REPOSITORY,))]
    expected = []
    for faults in ([], ["drop SYN-ACK nth=1"], ["inject RST to h1 on SYN-ACK nth=1"]):
        with conducted(plan(lab, faults=faults), lab, import_from=(REPOSITORY,)) as run:
            expected.append(_gist(run))

    assert branches == expected
    assert len({str(each) for each in branches}) == 3


def _gist(run: Run) -> Any:
    """Segments with their times in milliseconds, and the states of both ends."""
    sent = [
        (segment.flags, segment.sent and segment.sent // 1_000_000, segment.lost) for segment in run.record.segments
    ]
    return sent, [(endpoint.node, endpoint.states) for endpoint in run.record.endpoints]


def test_a_tree_of_every_single_loss(image: LabKernelImage) -> None:
    """Each segment of a handshake, an exchange and a close is lost once: as many branches as segments, and one more."""
    points: dict[str, Any] = {"at": "any", "deviations": 1}
    found = walk(image, **points)

    lost = [names.index("drop") if "drop" in names else None for _, names, _, _ in found]
    segments = max(len(names) for _, names, _, _ in found)
    assert sorted(each for each in lost if each is not None) == list(range(segments))
    assert lost.count(None) == 1
    assert len({events for _, _, events, _ in found}) == len(found)
    for indexes, _, events, _ in found:
        assert events == straight(image, indexes, **points)


def test_programs_run_in_branches_of_branches(image: LabKernelImage) -> None:
    """The pages of a program that is started there are in the files of several ancestors."""
    lab = kernel(image)
    programs = [["nft", "list", "ruleset"], ["python3", "-c", "import email.message, http.client"]] * 3
    planned = plan(lab, branches={"at": "any first=9"}, programs=programs)

    with contextlib.closing(explored(planned, lab, import_from=(REPOSITORY,))) as runs:
        assert len(next(runs).branch) == 9


def test_a_record_says_where_its_branch_left_the_others(image: LabKernelImage) -> None:
    """The time, the segment and the decision of each branch point; up to there, the events are the others'."""
    found = walk(image, at="SYN-ACK nth=1")

    (_, _, delivered, [first]), (_, _, dropped, [second]) = found
    assert first == {"t": second["t"], "at": "SYN-ACK nth=1", "number": 1, "decision": "deliver"}
    assert second["decision"] == "drop"
    common = sum(json.loads(line)["t"] < first["t"] for line in delivered.splitlines())
    assert common > 3
    assert delivered.splitlines()[:common] == dropped.splitlines()[:common]


def test_a_script_branches_at_any_line(image: LabKernelImage) -> None:
    """In branches of branches, each to the byte what its decisions give from the start."""
    lab = kernel(image)
    asked = msgspec.structs.replace(plan(lab), script="tests.kernel.branching_scripts:choices")
    found = {}
    for run in explored(asked, lab, import_from=(REPOSITORY,)):
        assert run.directory
        steps = branches.decode((run.directory / BRANCH).read_bytes())
        assert [(step.at, step.number) for step in steps] == [("", 1), ("", 2)]
        assert [step.decision for step in steps] == [taken.decision for taken in run.branch]
        found[tuple(taken.index for taken in run.branch)] = (run.directory / EVENTS).read_bytes()

    assert list(found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(set(found.values())) == 4
    for follow, events in found.items():
        with conducted(msgspec.structs.replace(asked, follow=follow), lab, import_from=(REPOSITORY,)) as alone:
            assert alone.directory
            assert (alone.directory / EVENTS).read_bytes() == events


def test_a_branch_point_that_never_came_is_an_error(image: LabKernelImage) -> None:
    """As a fault that never fired."""
    with pytest.raises(FaultNeverFired):
        walk(image, at="RST nth=1")


@pytest.mark.parametrize(
    "points", [{"at": "SYN", "of": ["deliver"]}, {"at": "SIN"}, {"at": "SYN", "of": ["deliver", "eat"]}]
)
def test_what_is_no_branch_point_is_refused(image: LabKernelImage, points: dict[str, Any]) -> None:
    """With the value and an example."""
    with pytest.raises(UsageError):
        walk(image, **points)


def test_a_kernel_booted_for_one_run_cannot_branch(image: LabKernelImage) -> None:
    """The message contains a remedy."""
    lab = LabKernel(image, wall_limit=30)
    with (
        pytest.raises(EnvironmentUnsupported, match="cannot branch"),
        conducted(plan(lab, branches={"at": "SYN"}), lab, import_from=(REPOSITORY,)),
    ):
        pass
