"""Variants of a test: under random loss with several seeds, or broken on purpose.

Each variant is a parameter of the test, so that ``-k``, ``--lf`` and ``-n`` treat it like any test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.errors import UsageError
from handshake_lab.pytest_plugin.dispatch.replay import of_the_call
from handshake_lab.pytest_plugin.options.command_line import LOSS, LOSSY_MARKER, nearest
from handshake_lab.pytest_plugin.options.report_properties import MUTATION_CHANGES, MUTATION_RESULT, RAISED

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The parameter's name.
PARAMETER = "handshake_variant"

#: What can be broken, and how a broken test differs.
MUTATIONS: dict[str, str] = {
    "cause": "its faults, settings and socket options are ignored",
    "states": "every history lacks its last transition",
    "times": "every time is doubled",
    "segments": "the last segment of each direction is missing",
}

#: Exceptions by which a test detects that it is broken; any other means that the mutation broke the harness.
_BY_ITSELF = frozenset({"AssertionError", "Failed", "OSError", "LookupError", "NotAsDocumented"})

_MOST_SEEDS = 100_000


class Variant(msgspec.Struct, frozen=True):
    """One way to run a test; all fields of the ordinary way are empty."""

    seed: int | None = None
    loss: str = ""
    mutation: str = ""

    @property
    def links(self) -> list[str]:
        """What is laid over the test's links."""
        return [f"loss={self.loss}"] if self.loss else []

    @property
    def words(self) -> list[str]:
        """The options that ask for it."""
        if self.mutation:
            return ["--handshake-mutate", self.mutation]
        return ["--handshake-seeds", str(self.seed)] if self.loss else []

    def __str__(self) -> str:
        return f"broken-{self.mutation}" if self.mutation else f"seed{self.seed}"


def of(item: pytest.Item) -> Variant:
    """The way in which a test is run."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get(PARAMETER) if callspec else None
    return found if isinstance(found, Variant) else Variant()


def check(config: pytest.Config) -> None:
    """Refuse invalid values of ``--handshake-seeds`` and ``--handshake-mutate``.

    Raises:
        pytest.UsageError: With what is wrong and a correct example.
    """
    seeds, mutate = config.option.handshake_seeds, config.option.handshake_mutate
    try:
        _seeds(seeds)
        _mutations(mutate)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    if seeds is not None and mutate is not None:
        both = UsageError("--handshake-mutate", mutate, "excludes --handshake-seeds", "--handshake-mutate=all")
        raise pytest.UsageError(str(both))


def generate(metafunc: pytest.Metafunc) -> None:
    """Parametrize a test that is to run in other ways than the ordinary one."""
    if "net" not in metafunc.fixturenames:
        return
    option = metafunc.config.option
    found: Iterable[Variant] = ()
    if option.handshake_mutate:
        found = [Variant(mutation=kind) for kind in _mutations(option.handshake_mutate)]
    elif option.handshake_seeds:
        marker = next(metafunc.definition.iter_markers(LOSSY_MARKER), None)
        if marker is not None:
            loss: Any = marker.kwargs.get("loss", LOSS)
            found = [Variant(seed=seed, loss=str(loss)) for seed in _seeds(option.handshake_seeds)]
    if found:
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, found, ids=str, indirect=True)


def _seeds(text: str | None) -> list[int]:
    found: list[int] = []
    for part in text.split(",") if text is not None else ():
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first, first]
        if not all(number.isascii() and number.isdigit() for number in numbers):
            raise UsageError("--handshake-seeds", text, "is not a list of seeds", "--handshake-seeds=1-50")
        low, high = map(int, numbers)
        if low > high or high - low >= _MOST_SEEDS or high >= 1 << 64:
            reason = f"is not a range of at most {_MOST_SEEDS} seeds below 2**64, the lower one first"
            raise UsageError("--handshake-seeds", part, reason, "--handshake-seeds=1-50")
        found += range(low, high + 1)
    return list(dict.fromkeys(found))


def _mutations(text: str | None) -> list[str]:
    if text is None:
        return []
    if text == "all":
        return list(MUTATIONS)
    kinds = [kind.strip() for kind in text.split(",")]
    for kind in kinds:
        if kind not in MUTATIONS:
            hint = nearest(kind, ["all", *MUTATIONS])
            reason = f"is not a known mutation; {hint}"
            raise UsageError("--handshake-mutate", kind, reason, "--handshake-mutate=cause,states")
    return kinds


def invert(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    """Invert the outcome of a test that was broken on purpose: it passes if it failed."""
    mutation = of(item).mutation
    if not mutation:
        return
    failed = next((report for report in reports if report.failed), None)
    main = of_the_call(reports)
    change = MUTATIONS[mutation]
    if failed is not None:
        raised = getattr(failed, RAISED, ())
        if _BY_ITSELF & set(raised):
            result = "caught"
            for report in reports:
                report.outcome, report.longrepr, report.sections = "passed", None, []
        else:
            result = "crashed"
            failed.sections.append(
                ("broken on purpose", f"{change}; the test should have failed by its own assertions")
            )
    elif main.skipped:
        result = "skipped"
    elif not any(value for report in reports for name, value in report.user_properties if name == MUTATION_CHANGES):
        result = "nothing"
        _skip(item, main, f"there is nothing to break ({mutation}: {change})")
    elif mutation == "cause":
        result = "survived"
        main.outcome = "failed"
        main.longrepr = f"this test cannot fail: it passes although {change}"
    else:
        result = "unnoticed"
        _skip(item, main, f"the test does not detect it ({mutation}: {change})")
    reports[-1].user_properties.append((MUTATION_RESULT, result))


def _skip(item: pytest.Item, report: pytest.TestReport, reason: str) -> None:
    path, line, _ = item.location
    report.outcome = "skipped"
    report.longrepr = (path, line or 0, reason)
