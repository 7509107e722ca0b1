"""Which workers run the schedules of an exploration: this process, several, or those of a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.explore.workers import Processes, ThisProcess

if TYPE_CHECKING:
    from types import ModuleType

    from handshake_lab.explore.cluster import Cluster
    from handshake_lab.explore.settings import Settings
    from handshake_lab.explore.target import Target


def chosen(target: Target, settings: Settings) -> ThisProcess | Processes | Cluster:
    """The workers for a target, as the settings select them.

    Raises:
        EnvironmentUnsupported: Dask is not installed, or its cluster cannot be used.
    """
    if settings.on:
        made: Cluster = _cluster().Cluster(target, settings.on)
        return made
    return Processes(target, settings.workers) if settings.workers > 1 else ThisProcess(target)


def check_cluster(address: str) -> None:
    """Check that a cluster can be connected to.

    Raises:
        UsageError: The address is invalid, or the connection would not be encrypted.
        EnvironmentUnsupported: Dask is not installed, or the scheduler does not answer.
    """
    _cluster().connected(address).close()


def _cluster() -> ModuleType:
    try:
        from handshake_lab.explore import cluster  # noqa: PLC0415  Dask takes a second to import
    except ImportError as error:
        raise EnvironmentUnsupported(
            f"--on needs Dask, which is not installed ({error})", "pip install 'handshake-lab[dask]'"
        ) from None
    return cluster
