"""The checks and the ends of a cluster's workers; tests/explore/test_cluster.py has a cluster."""

from __future__ import annotations

import pickle
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from handshake_lab.cli import main
from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.explore import cluster
from handshake_lab.explore.cluster import Cluster, Provision

if TYPE_CHECKING:
    from collections.abc import Iterator


def bare(client: object) -> Cluster:
    """A cluster with a client that does nothing else."""
    made = object.__new__(Cluster)
    made.__dict__.update(_client=client, _address="tcp://127.0.0.1:8786", _run="", _is_lost=False, _target=b"")
    return made


def test_a_worker_with_other_files_is_refused() -> None:
    """Of the package; or with another Python."""
    provision = Provision("another digest", "9.8.7", (b"", ""))

    with pytest.raises(EnvironmentUnsupported, match=r"the worker tls://w:1 has another version of handshake_lab"):
        provision.setup(SimpleNamespace(address="tls://w:1"))


@pytest.mark.parametrize(
    ("workers", "refused"),
    [
        (["tls://10.1.2.3:1", "tcp://127.0.0.1:2", "tcp://[::1]:3"], ""),
        (["tls://10.1.2.3:1", "tcp://10.1.2.4:2"], "tcp://10.1.2.4:2"),
        (["tcp://other:2"], "tcp://other:2"),
    ],
)
def test_a_worker_of_another_machine_needs_encryption(workers: list[str], refused: str) -> None:
    """Also if the scheduler is of this machine."""
    client = SimpleNamespace(wait_for_workers=lambda *_, **__: None, nthreads=lambda: dict.fromkeys(workers, 1))
    made = bare(client)

    if not refused:
        made._demand_encryption("tcp://127.0.0.1:8786")
        return
    with pytest.raises(UsageError, match="has a worker without encryption") as caught:
        made._demand_encryption("tcp://127.0.0.1:8786")
    assert refused in str(caught.value)


def test_a_cluster_without_workers_is_lost() -> None:
    """The error names it."""

    def never(*_: object, **__: object) -> None:
        raise TimeoutError("Only 0/1 workers arrived after 30")

    with pytest.raises(EnvironmentUnsupported, match=r"tcp://127.0.0.1:8786 was lost \(Only 0/1 workers"):
        list(bare(SimpleNamespace(wait_for_workers=never)).run([()]))


@pytest.mark.parametrize("status", ["cancelled", "error"])
def test_a_task_of_a_lost_cluster_is_cancelled(status: str) -> None:
    """Dask cancels what waits for a scheduler that is lost. An error of the task itself remains."""

    def result() -> None:
        raise CancelledError("lost" if status == "cancelled" else "of the task")

    expected = EnvironmentUnsupported if status == "cancelled" else CancelledError
    with pytest.raises(expected, match=r"was lost \(lost\)" if status == "cancelled" else "of the task"):
        bare(None)._outcomes(cast("Any", SimpleNamespace(result=result, status=status)))


class Walking:
    """Walks three schedules; the call of `Cluster.run` ends in the second."""

    closed = 0

    def __init__(self, target: object) -> None:
        self.target = target

    def walk(self, schedules: list[str]) -> Iterator[str]:
        """The schedules themselves."""
        for number, schedule in enumerate(schedules):
            if number == 1:
                cluster._end("run")
            yield schedule

    def __exit__(self, *_: object) -> None:
        type(self).closed += 1


def test_a_worker_stops_when_the_exploration_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the schedule that it runs, and ends its kernels; it does not begin tasks that come later."""
    monkeypatch.setattr(cluster, "Walker", Walking)
    monkeypatch.setattr(cluster, "_ended", set())
    target = pickle.dumps(cluster._Sent("target", "9.8.7", {}))

    walked: list[Any] = list(cluster._walk("run", target, cast("Any", ["a", "b", "c"])))

    assert walked == ["a", "b"]
    assert Walking.closed == 1
    assert not cluster._walkers
    assert cluster._walk("run", target, cast("Any", ["a"])) == []
    assert not cluster._walkers


@pytest.mark.parametrize(
    ("words", "reason", "status"),
    [
        (("--on", "tcp://10.1.2.3:8786", "tests"), "is another machine's and not encrypted", 2),
        (("--on", "tcp://127.0.0.1:1", "tests"), "cannot be reached", 3),
        (("--on", "tls://s:1", "-n", "2", "tests"), "has no effect on a cluster", 2),
        (("--on", "tls://s:1", "--replay", "finding"), "has no effect with --replay", 2),
    ],
)
def test_invalid_clusters_are_refused_before_pytest_runs(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    reason: str,
    status: int,
) -> None:
    """With the exit statuses of other commands; pytest would exit with 1, as with a finding."""
    monkeypatch.setattr("sys.argv", ["handshake", "explore", *words])
    monkeypatch.setattr(cluster, "_CONNECTS", 1)

    with pytest.raises(SystemExit) as stop:
        main.main()

    assert stop.value.code == status
    assert reason in capsys.readouterr().err
