"""A Dask cluster of two workers finds what one process finds, also if a worker is killed; connections are encrypted."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dask
import distributed
import pytest
from handshake_lab.errors import UsageError
from handshake_lab.experiment.execute import job_of
from handshake_lab.explore.cluster import Cluster
from handshake_lab.explore.outcome import Failed
from handshake_lab.explore.search import explore
from handshake_lab.explore.settings import Settings
from handshake_lab.explore.target import Target, kernel_maker
from handshake_lab.explore.workers import Processes, ThisProcess
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan
from handshake_lab.recording.run_files import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.explore.finding import Finding
    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.search import Exploration
    from handshake_lab.kernel.shared.job import JobResult
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]

#: A handshake, a request with its response, and a close.
EXCHANGE = "handshake_lab.experiment.workloads.request_response:script"
SETTINGS = Settings(of=("drop", "reset"), runs=20)


def fails_if_reset(result: JobResult) -> Failed | None:
    """A run fails if a call of its script failed, which a RST causes."""
    if b'"type":"failure"' in (result.results / EVENTS).read_bytes():
        return Failed("reset", "a call failed")
    return None


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """The exchange over 50 ms in each direction."""
    kernel = kernel_maker("lab", 1, 120.0)
    plan = RunPlan(script=EXCHANGE, links=parse_links(["delay=50ms"]), kernel=kernel().info)
    with job_of(plan) as job:
        yield Target("exchange", job, kernel, fails_if_reset, SETTINGS.of_one_run)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The scheduler of two workers of this machine, with a certificate that only they and the client have."""
    security = distributed.Security.temporary()  # type: ignore[no-untyped-call]
    own = {"client.cert": security.tls_client_cert, "client.key": security.tls_client_key}
    tls = {f"distributed.comm.tls.{name}": value for name, value in (("ca-file", security.tls_ca_file), *own.items())}
    with (
        distributed.LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2,
            threads_per_worker=1,
            security=security,
            host="127.0.0.1",
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # a free port, not 8787 of another run
        ) as cluster,
        dask.config.set(tls),
    ):
        yield cluster.scheduler_address


def summary(exploration: Exploration) -> tuple[int, list[Finding], list[Fates], int]:
    """What does not depend on who runs the schedules."""
    return exploration.runs, exploration.findings, exploration.corpus, exploration.equivalent


class Killing:
    """Kills a worker of a cluster while it runs several schedules."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.killed = 0

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules."""
        if len(schedules) == 1 or self.killed:
            yield from self._cluster.run(schedules)
            return
        pids: dict[str, int] = self._cluster.client.run(os.getpid)
        over = threading.Event()
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(self._kill, pids, over)
            try:
                yield from self._cluster.run(schedules)
            finally:
                over.set()
            self.killed = killed.result()

    def _kill(self, pids: dict[str, int], over: threading.Event) -> int:
        """Kill a worker as soon as it has a task; returns its process, or 0."""
        while not over.is_set():
            tasks = self._cluster.client.processing()  # type: ignore[no-untyped-call]
            for worker, keys in tasks.items():
                if keys:
                    os.kill(pids[worker], signal.SIGKILL)
                    return pids[worker]
        return 0


def test_a_cluster_finds_what_one_process_finds(target: Target, address: str) -> None:
    """And what two processes find: the same runs, findings and corpus. A worker is killed in the middle."""
    assert address.startswith("tls://")

    with ThisProcess(target) as one:
        expected = summary(explore(one, SETTINGS))
    assert len(expected[1]) == 1
    with Processes(target, 2) as two:
        assert summary(explore(two, SETTINGS)) == expected
    with Cluster(target, address) as cluster:
        killing = Killing(cluster)
        assert summary(explore(killing, SETTINGS)) == expected
        assert killing.killed


@pytest.mark.parametrize("refused", ["tcp://10.1.2.3:8786", "scheduler:8786", "tcp://example.org:8786"])
def test_another_machine_is_reached_with_encryption_only(target: Target, refused: str) -> None:
    """Whoever can connect to a scheduler can run programs on its workers."""
    with pytest.raises(UsageError, match="not encrypted"):
        Cluster(target, refused)
