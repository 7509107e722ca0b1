"""The documents about a machine, its kernels and its networks: doctor, kernel list, topology, report."""

from __future__ import annotations

import msgspec

from handshake_lab.report.export.json_document import Document, Seconds


class CheckDocument(msgspec.Struct, frozen=True):
    """Something that a kernel kind needs or can use: what was found, and the command that provides it.

    A kernel kind cannot be used while a check that is ``needed`` is not ``ok``. ``remedy`` is "" where nothing is
    missing, or if no command provides it.
    """

    name: str
    ok: bool
    needed: bool
    detail: str
    remedy: str


class KernelKindDocument(msgspec.Struct, frozen=True):
    """Whether a kernel kind can be used on this machine."""

    usable: bool
    checks: list[CheckDocument]


class DoctorDocument(Document, frozen=True, tag="doctor"):
    """``handshake doctor --json``: by kernel kind, "lab", "host" and "vm"."""

    kernels: dict[str, KernelKindDocument]


class LabKernelDocument(msgspec.Struct, frozen=True):
    """A lab kernel that was built.

    ``built`` is a time in ISO 8601; ``origin`` is the source it was built from. Only kernels that are ``current`` are
    used: those with the build configuration of this release. ``key`` identifies that configuration. Kernels with
    ``forks`` boot once and then fork for every run. ``place`` is "user" (the user's cache), "wheel" (installed by pip)
    or "system" (the cache that all users share).
    """

    version: str
    release: str
    hz: int
    built: str
    origin: str
    directory: str
    place: str
    key: str
    current: bool
    forks: bool


class KernelsDocument(Document, frozen=True, tag="kernels"):
    """``handshake kernel list --json``: the lab kernels in ``directory``."""

    directory: str
    kernels: list[LabKernelDocument]


class TopologyDocument(msgspec.Struct, frozen=True):
    """A topology: a drawing, line by line, and its parameters with their defaults."""

    name: str
    summary: str
    drawing: list[str]
    parameters: list[str]


class TopologiesDocument(Document, frozen=True, tag="topologies"):
    """``handshake topology list --json``."""

    topologies: list[TopologyDocument]


class MeasurementDocument(msgspec.Struct, frozen=True):
    """A property of a path: the requested value, the measured value, and whether they agree.

    ``path`` is "h1>h2" for one direction and "h1-h2" for both; ``what`` is "RTT", "delay", "loss", "rate" or "reach".
    """

    path: str
    what: str
    asked: str
    measured: str
    right: bool


class TopologyCheckDocument(Document, frozen=True, tag="topology-check"):
    """``handshake topology check --json``."""

    topology: str
    links: list[str]
    measurements: list[MeasurementDocument]


class ReportedRun(msgspec.Struct, frozen=True):
    """A run with its page.

    ``outcome`` is "failed" if a transition deviates from RFC 9293 or something failed in the run, else "recorded".
    ``lost`` counts lost segments; ``length`` is the time from the beginning of the recording to its last event, the end
    of TIME-WAIT apart; ``time_wait`` is how long connections were in TIME-WAIT after that.
    """

    name: str
    page: str
    outcome: str
    connections: int
    lost: int
    length: Seconds
    time_wait: Seconds


class ReportDocument(Document, frozen=True, tag="report"):
    """``handshake report --json``: the pages that were written; ``index`` is the page with links to them."""

    title: str
    index: str
    runs: list[ReportedRun]
