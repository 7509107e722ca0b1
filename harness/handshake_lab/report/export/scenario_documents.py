"""The documents of ``handshake scenarios``: the catalogue, results, kernels side by side, mutations."""

from __future__ import annotations

import msgspec

from handshake_lab.report.export.json_document import Document, KernelDocument
from handshake_lab.report.export.pytest_document import EdgeTaken, TestOutcome


class ScenarioDocument(msgspec.Struct, frozen=True):
    """A scenario: ``what`` it requires of TCP, and the document that defines it.

    ``number`` is its row in the catalogue, null for a scenario that exists for an edge that no row takes. ``subject``
    is its group. ``test`` and ``under_loss`` are pytest's node ids: of its test, and of its test under random loss
    ("" if its requirements do not hold for any loss).
    """

    number: int | None
    name: str
    subject: str
    what: str
    test: str
    under_loss: str


class ScenariosDocument(Document, frozen=True, tag="scenarios"):
    """``handshake scenarios list --json``."""

    scenarios: list[ScenarioDocument]


class ScenarioResult(msgspec.Struct, frozen=True):
    """The outcome of a scenario: of all its tests together. ``edges`` are ids of ``handshake edges``."""

    name: str
    number: int | None
    outcome: TestOutcome
    tcp_seconds: float
    wall_seconds: float
    edges: list[str]


class ScenarioResultsDocument(Document, frozen=True, tag="scenario-results"):
    """``handshake scenarios run --json``: counts of scenarios, and the edges of the state diagram that they took."""

    passed: int
    failed: int
    skipped: int
    edges_covered: int
    edges_total: int
    tcp_seconds: float
    wall_seconds: float
    scenarios: list[ScenarioResult]
    edges: list[EdgeTaken]


class MatrixCell(msgspec.Struct, frozen=True):
    """The outcome of a scenario on one kernel; ``segments`` and ``seconds`` are sums over its tests."""

    outcome: TestOutcome
    segments: int
    seconds: float


class MatrixColumn(msgspec.Struct, frozen=True):
    """One kernel, with its results by the scenario's name."""

    kernel: KernelDocument
    scenarios: dict[str, MatrixCell]


class ScenarioMatrixDocument(Document, frozen=True, tag="scenario-matrix"):
    """``handshake scenarios run --kernels … --json``: scenarios on several kernels."""

    kernels: list[MatrixColumn]


class MutationResult(msgspec.Struct, frozen=True):
    """Whether a scenario fails when it is mutated; ``reason`` names the mutation, or states why it does not fail."""

    name: str
    number: int | None
    can_fail: bool
    reason: str


class MutationsDocument(Document, frozen=True, tag="scenario-mutations"):
    """``handshake scenarios mutate --json``. ``can_fail`` counts the scenarios that fail when they are mutated."""

    can_fail: int
    scenarios: list[MutationResult]
