"""Variants of a test: under random loss with several seeds, or mutated.

Each variant is a parameter of the test, so that ``-k``, ``--lf`` and ``-n`` treat it like any test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handshake_lab.errors import UsageError
from handshake_lab.plan.nearest_name import hint
from handshake_lab.pytest_plugin.options.command_line import LOSS, LOSSY_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The parameter's name.
PARAMETER = "handshake_variant"

#: The mutations, and how a mutated test differs.
MUTATIONS: dict[str, str] = {
    "cause": "its faults, settings and socket options are ignored",
    "states": "every history lacks its last transition",
    "times": "every time is doubled",
    "segments": "the last segment of each direction is missing",
}

_MOST_SEEDS = 100_000


class Variant(msgspec.Struct, frozen=True):
    """One way to run a test; all fields of the ordinary way are empty."""

    seed: int | None = None
    loss: str = ""
    mutation: str = ""

    @property
    def links(self) -> list[str]:
        """The impairments that are added to the test's links."""
        return [f"loss={self.loss}"] if self.loss else []

    @property
    def words(self) -> list[str]:
        """The options that select it."""
        if self.mutation:
            return ["--handshake-mutate", self.mutation]
        return ["--handshake-seeds", str(self.seed)] if self.loss else []

    def __str__(self) -> str:
        return f"broken-{self.mutation}" if self.mutation else f"seed{self.seed}"


def of(item: pytest.Item) -> Variant:
    """The variant of a test."""
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
    """Parametrize a test that runs in several variants."""
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
            reason = f"is not a known mutation; {hint(kind, ('all', *MUTATIONS))}"
            raise UsageError("--handshake-mutate", kind, reason, "--handshake-mutate=cause,states")
    return kinds
