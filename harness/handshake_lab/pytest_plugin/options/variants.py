"""Other ways to run a test: under random loss with many seeds, or broken on purpose.

Each way is a parameter, so that ``-k``, ``--lf`` and ``-n`` treat it like any test.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.pytest_plugin.dispatch.replay import of_the_call
from handshake_lab.pytest_plugin.dispatch.worker import RAISED
from handshake_lab.pytest_plugin.options.command_line import LOSS

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The parameter's name.
PARAMETER = "handshake_variant"

#: What can be broken, and how a broken test is told.
MUTATIONS: dict[str, str] = {
    "cause": "its faults, settings and socket options are ignored",
    "states": "every history lacks its last transition",
    "times": "every time is doubled",
    "segments": "the last segment of each direction is missing",
}
#: What a test came to that was broken on purpose: a property of its reports.
CAME_TO = "handshake_mutant"
#: How much a mutation changed: a property of the report on the teardown.
TOUCHED = "handshake_touched"

#: Failing like this is what a test is for; anything else means that the mutation broke the harness.
_BY_ITSELF = frozenset({"AssertionError", "Failed", "OSError", "LookupError", "NotAsDocumented"})

_MOST_SEEDS = 100_000


class Variant(msgspec.Struct, frozen=True):
    """One way to run a test; the ordinary one has none of these."""

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
            return ["--mutate", self.mutation]
        return ["--seeds", str(self.seed)] if self.loss else []

    def __str__(self) -> str:
        return f"broken-{self.mutation}" if self.mutation else f"seed{self.seed}"


def of(item: pytest.Item) -> Variant:
    """The way in which a test is run."""
    callspec = getattr(item, "callspec", None)
    found = callspec.params.get(PARAMETER) if callspec else None
    return found if isinstance(found, Variant) else Variant()


def check(config: pytest.Config) -> None:
    """Refuse what cannot be meant.

    Raises:
        pytest.UsageError: One of the options is not what it should be.
    """
    _seeds(config.option.seeds)
    _mutations(config.option.mutate)
    if config.option.seeds and config.option.mutate:
        raise pytest.UsageError("--seeds and --mutate exclude each other: a broken test proves nothing about a seed")


def generate(metafunc: pytest.Metafunc) -> None:
    """Make a test's parameter where there is more than the ordinary way to run it."""
    if "net" not in metafunc.fixturenames:
        return
    option = metafunc.config.option
    found: Iterable[Variant] = ()
    if option.mutate:
        found = [Variant(mutation=kind) for kind in _mutations(option.mutate)]
    elif option.seeds:
        marker = next(metafunc.definition.iter_markers("lossy"), None)
        if marker is not None:
            loss: Any = marker.kwargs.get("loss", LOSS)
            found = [Variant(seed=seed, loss=str(loss)) for seed in _seeds(option.seeds)]
    if found:
        metafunc.fixturenames.append(PARAMETER)
        metafunc.parametrize(PARAMETER, found, ids=str, indirect=True)


def _seeds(text: str | None) -> list[int]:
    found: list[int] = []
    for part in (text or "").split(",") if text is not None else ():
        first, dash, last = part.strip().partition("-")
        numbers = [first, last] if dash else [first, first]
        if not all(number.isascii() and number.isdigit() for number in numbers):
            raise pytest.UsageError(f"--seeds: {text!r} is no list of seeds. Right would be, for example: --seeds 1-50")
        low, high = map(int, numbers)
        if low > high or high - low >= _MOST_SEEDS or high >= 1 << 64:
            raise pytest.UsageError(
                f"--seeds: {part!r} is no range of seeds. Right would be, for example: --seeds 1-50"
            )
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
            near = difflib.get_close_matches(kind, [*MUTATIONS, "all"], n=1)
            told = f"the nearest is {near[0]!r}" if near else f"there are all, {', '.join(MUTATIONS)}"
            raise pytest.UsageError(f"--mutate: {kind!r} is nothing that can be broken; {told}")
    return kinds


def settle(item: pytest.Item, reports: list[pytest.TestReport]) -> None:
    """Turn round what a test came to that was broken on purpose: it is right to fail."""
    mutation = of(item).mutation
    if not mutation:
        return
    failed = next((report for report in reports if report.failed), None)
    main = of_the_call(reports)
    told = MUTATIONS[mutation]
    if failed is not None:
        raised = getattr(failed, RAISED, ())
        if _BY_ITSELF & set(raised):
            came_to = "caught"
            for report in reports:
                report.outcome, report.longrepr, report.sections = "passed", None, []
        else:
            came_to = "crashed"
            failed.sections.append(("broken on purpose", f"{told}; it should have failed by its own assertions"))
    elif main.skipped:
        came_to = "skipped"
    elif not any(value for report in reports for name, value in report.user_properties if name == TOUCHED):
        came_to = "nothing"
        _skip(item, main, f"there is nothing to break: it is not so that {told}")
    elif mutation == "cause":
        came_to = "survived"
        main.outcome = "failed"
        main.longrepr = f"this test cannot fail: {told}, and it passes all the same"
    else:
        came_to = "unnoticed"
        _skip(item, main, f"not noticed: {told}")
    reports[-1].user_properties.append((CAME_TO, came_to))


def _skip(item: pytest.Item, report: pytest.TestReport, why: str) -> None:
    path, line, _ = item.location
    report.outcome = "skipped"
    report.longrepr = (path, line or 0, why)
