"""Running schedules on the workers of a Dask cluster: processes of this machine and of others.

A worker must have the same version of this package, and the explored test at the same path. It gets the kernel from the
searching process. Dask runs the schedules of a worker that is lost on another one.

Whoever can connect to a scheduler can run programs on its workers. Therefore connections to other machines must be
encrypted and authenticated by certificates (TLS).
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import ipaddress
import pickle
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import msgspec
from distributed import Client, Future, KilledWorker, WorkerPlugin, as_completed

from handshake_lab.errors import EnvironmentUnsupported, KernelFailed, UsageError
from handshake_lab.explore.walk import Walker
from handshake_lab.explore.workers import parts
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.lab.packaging import archive
from handshake_lab.kernel.shared.job import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from handshake_lab.explore.outcome import Outcome
    from handshake_lab.explore.target import Target
    from handshake_lab.plan.schedule import Fate

    Fates = tuple[Fate, ...]

_EXAMPLE = "--on tls://scheduler:8786, or --on tcp://127.0.0.1:8786"
#: Seconds within which the scheduler must answer, and must have a worker.
_CONNECTS = 30


class Cluster:
    """Runs schedules on the workers of a cluster.

    Args:
        target: The target of the exploration.
        address: The scheduler: ``tls://scheduler:8786``. The certificates are those of Dask's configuration.

    Raises:
        UsageError: The address is invalid, or a connection would not be encrypted.
        EnvironmentUnsupported: The scheduler does not answer, or a worker cannot run the target.
    """

    def __init__(self, target: Target, address: str) -> None:
        self._address = address
        self._run = ""  #: identifies the latest call of `run`
        self._is_lost = False
        self._client = connected(address)
        try:
            self._demand_encryption(address)
            release = target.kernel().info.release
            self._client.register_plugin(Provision.of(release))
            self._target = pickle.dumps(_Sent(target, release, {file: _digest(file) for file in target.files}))
        except BaseException as error:
            self._client.close()
            if isinstance(error, EnvironmentUnsupported | UsageError) or not isinstance(error, Exception):
                raise
            raise EnvironmentUnsupported(
                f"The workers of {address} cannot be used ({error})", "See their logs."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:
            self._client.close()

    @property
    def client(self) -> Client:
        """The connection to the scheduler."""
        return self._client

    def run(self, schedules: Sequence[Fates]) -> Iterator[Outcome]:
        """The outcomes of schedules: each worker runs a part of the tree.

        Raises:
            KernelFailed: Workers were lost repeatedly with the same schedules.
            EnvironmentUnsupported: The scheduler or all workers were lost.
        """
        self._run = uuid.uuid4().hex
        try:
            futures = self._submitted(schedules)
        except Exception as error:  # noqa: BLE001  Dask raises several classes
            raise self._lost(error) from None
        complete = False
        try:
            for future in as_completed(futures, loop=self._client.loop):
                yield from self._outcomes(future)
            complete = True
        except KilledWorker as error:
            raise KernelFailed("workers of the cluster that explore were lost repeatedly", str(error)) from None
        finally:
            if not self._is_lost:
                self._client.cancel(futures)
            if not complete:
                self._end()

    def _submitted(self, schedules: Sequence[Fates]) -> list[Future]:
        workers = sorted(self._workers())
        task = functools.partial(self._client.submit, _walk, self._run, self._target)
        return [
            task(part, pure=False, workers=[worker], allow_other_workers=True)
            for part, worker in zip(parts(schedules, len(workers)), workers, strict=False)
        ]

    def _outcomes(self, future: Future) -> list[Outcome]:
        """The result of a task that has ended; raises its exception."""
        try:
            outcomes: list[Outcome] = future.result()
        except Exception as error:
            if future.status == "error":
                raise
            raise self._lost(error) from None
        except asyncio.CancelledError as error:
            raise self._lost(error) from None
        return outcomes

    def _lost(self, error: BaseException) -> EnvironmentUnsupported:
        self._is_lost = True
        reason = str(error) or type(error).__name__
        return EnvironmentUnsupported(f"The cluster {self._address} was lost ({reason})", "Start it again.")

    def _end(self) -> None:
        """Stop what the workers still run, and end their kernels. Dask does not stop a task that is running."""
        if not self._is_lost:
            with contextlib.suppress(OSError):  # the scheduler is lost
                self._client.run(_end, self._run, on_error="ignore")

    def _workers(self) -> list[str]:
        self._client.wait_for_workers(1, timeout=_CONNECTS)
        return list(self._client.nthreads())

    def _demand_encryption(self, address: str) -> None:
        """Check that the workers can be reached from other machines only with TLS."""
        for worker in self._workers():
            if not _is_safe(worker):
                raise UsageError("--on", address, f"has a worker without encryption, {worker}", _EXAMPLE)


class _Sent(msgspec.Struct, frozen=True):
    """A target with what a worker must have.

    Attributes:
        target: The target.
        release: The kernel's release.
        files: The digests of the target's files.
    """

    target: Any
    release: str
    files: dict[Path, str]


class Provision(WorkerPlugin):  # type: ignore[misc]  # Dask has no type hints for it
    """Checks that a worker has this version of the package, and installs the kernel if it does not have it.

    Args:
        package: The digest of the package.
        release: The kernel's release.
        packed: The kernel, as an archive, and its SHA-256.
    """

    name = "handshake-lab"

    def __init__(self, package: str, release: str, packed: tuple[bytes, str]) -> None:
        self._package = package
        self._release = release
        self._packed = packed

    @classmethod
    def of(cls, release: str) -> Self:
        """What this machine's workers need for a kernel that it has."""
        image = LabImages().find(release)
        if image is None:
            raise EnvironmentUnsupported(f"There is no lab kernel {release} here", "handshake kernel build")
        with tempfile.TemporaryDirectory() as place:
            file = Path(place, "kernel.tar.xz")
            sha256 = archive.export(image, file)
            return cls(package_digest(), release, (file.read_bytes(), sha256))

    def setup(self, worker: object) -> None:
        """Called by Dask on each worker, also on one that joins later.

        Raises:
            EnvironmentUnsupported: The worker has another version of the package, or of Python.
        """
        if package_digest() != self._package:
            raise EnvironmentUnsupported(
                f"the worker {getattr(worker, 'address', '')} has another version of handshake_lab or of Python",
                "Install the same versions on all machines.",
            )
        if LabImages().find(self._release) is None:
            content, sha256 = self._packed
            with tempfile.TemporaryDirectory() as place:
                file = Path(place, "kernel.tar.xz")
                file.write_bytes(content)
                archive.import_(file, sha256, system=False)


@functools.cache
def package_digest() -> str:
    """The digest of this package's files and of Python's version; records are the same only with the same code."""
    found = hashlib.sha256(sys.version.encode())
    for directory in PACKAGES:
        for file in sorted(directory.rglob("*")):
            if file.is_file() and file.suffix not in (".pyc", ".so"):
                found.update(str(file.relative_to(directory)).encode() + b"\0" + file.read_bytes())
    return found.hexdigest()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def connected(address: str) -> Client:
    """A client of a scheduler.

    Raises:
        UsageError: The address is invalid, or the connection would not be encrypted.
        EnvironmentUnsupported: The scheduler does not answer.
    """
    if not _is_safe(address):
        raise UsageError("--on", address, "is another machine's and not encrypted", _EXAMPLE)
    try:
        return Client(address, timeout=_CONNECTS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        # Dask reports missing certificates as a TypeError.
        raise EnvironmentUnsupported(
            f"The scheduler {address} cannot be reached ({error})",
            "Start it (dask scheduler), and give its certificates as Dask's configuration: "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE and …__CLIENT__CERT, …__CLIENT__KEY.",
        ) from error


def _is_safe(address: str) -> bool:
    """Whether an address is encrypted, or of this machine only."""
    parsed = urlsplit(address if "://" in address else f"tcp://{address}")
    if parsed.scheme in ("tls", "wss"):
        return True
    host = parsed.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


#: In a worker: its target and its walker. The lab kernels of a process run one at a time.
_lock = threading.Lock()
_walkers: dict[bytes, Walker] = {}
#: In a worker: the calls of `Cluster.run` that have ended.
_ended: set[str] = set()


def _walk(run: str, target: bytes, schedules: Sequence[Fates]) -> list[Outcome]:
    """In a worker: run schedules, until the call of `Cluster.run` has ended."""
    try:
        return _walked(run, target, schedules)
    finally:
        if run in _ended:
            _end(run)  # it could not do so while they ran


def _walked(run: str, target: bytes, schedules: Sequence[Fates]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    with _lock:
        if run in _ended:
            return outcomes
        if target not in _walkers:
            _close()
            sent: _Sent = pickle.loads(target)  # noqa: S301  from the client, whose code Dask runs as well
            for file, digest in sent.files.items():
                if _digest(file) != digest:
                    raise EnvironmentUnsupported(
                        f"{file} is missing or different on a worker",
                        "Give all machines the same files at the same path.",
                    )
            _walkers[target] = Walker(sent.target)
        with contextlib.closing(_walkers[target].walk(schedules)) as walk:
            for outcome in walk:
                outcomes.append(outcome)
                if run in _ended:
                    break
    return outcomes


def _end(run: str) -> None:
    """In a worker: stop the schedules of a call of `Cluster.run`, and end the kernels."""
    _ended.add(run)
    if _lock.acquire(blocking=False):
        try:
            _close()
        finally:
            _lock.release()


def _close() -> None:
    while _walkers:
        _walkers.popitem()[1].__exit__()
