"""Impairments: what a link does to the packets that cross it.

    >>> Impairment.parse("delay=50ms,loss=1%")
    Impairment(delay=50ms,loss=1%)
    >>> LinkSpec.parse("h1>h2:loss=5%").impairment
    Impairment(loss=5%)

The syntax is that of the command line (``--link delay=50ms,loss=1%``); the names are the same as keyword arguments
in Python and in pytest's marker. Pure: nothing here uses a kernel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.nearest_name import hint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")

#: netem's default queue length (``man tc-netem``). It is set explicitly.
DEFAULT_LIMIT = 1000

#: Every property, with a correct example.
EXAMPLES: dict[str, str] = {
    "delay": "delay=50ms",
    "jitter": "delay=50ms,jitter=5ms",
    "jitter_correlation": "delay=50ms,jitter=5ms,jitter_correlation=25%",
    "distribution": "delay=50ms,jitter=5ms,distribution=normal",
    "loss": "loss=1%",
    "loss_correlation": "loss=1%,loss_correlation=25%",
    "gilbert": "gilbert=1%/10%/100%/0%",
    "rate": "rate=10mbit",
    "limit": "limit=100",
    "reorder": "delay=50ms,reorder=25%",
    "reorder_correlation": "delay=50ms,reorder=25%,reorder_correlation=50%",
    "gap": "delay=50ms,reorder=25%,gap=5",
    "duplicate": "duplicate=1%",
    "duplicate_correlation": "duplicate=1%,duplicate_correlation=25%",
    "corrupt": "corrupt=0.1%",
    "corrupt_correlation": "corrupt=0.1%,corrupt_correlation=25%",
}

_DURATIONS = ("delay", "jitter")
_COUNTS = ("limit", "gap")
#: Properties that require another one.
_NEEDS = {
    "jitter_correlation": "jitter",
    "distribution": "jitter",
    "jitter": "delay",
    "loss_correlation": "loss",
    "reorder": "delay",
    "reorder_correlation": "reorder",
    "gap": "reorder",
    "duplicate_correlation": "duplicate",
    "corrupt_correlation": "corrupt",
}


class GilbertElliott(msgspec.Struct, frozen=True):
    """Loss in bursts: the Gilbert-Elliott model. Probabilities are in parts per billion.

    Attributes:
        worsen: Probability, per packet, of the transition from the good state to the bad (netem's p).
        recover: Probability, per packet, of the transition back (netem's r).
        bad: Probability of loss in the bad state (netem's 1-h).
        good: Probability of loss in the good state (netem's 1-k).
    """

    worsen: int
    recover: int
    bad: int = units.CERTAIN
    good: int = 0

    @classmethod
    def parse(cls, field: str, text: object) -> Self:
        """Parse ``1%/10%``, ``1%/10%/100%`` or ``1%/10%/100%/0%``."""
        example = EXAMPLES["gilbert"]
        if not isinstance(text, str) or not 2 <= text.count("/") + 1 <= 4:
            raise UsageError(field, text, "is not two to four percentages separated by /", example)
        parts = [units.chance(field, part, example) for part in text.split("/")]
        if not parts[1]:
            raise UsageError(field, text, "never leaves the bad state (its second percentage is 0%)", example)
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(units.show_chance(part) for part in (self.worsen, self.recover, self.bad, self.good))


class Impairment(msgspec.Struct, frozen=True):
    """The impairment of packets in one direction of a link; none by default.

    Durations are nanoseconds, probabilities parts per billion, the rate bits per second of whole Ethernet frames
    (including headers, as netem counts them), ``limit`` packets, including those in flight on the link. 0 disables a
    property.
    """

    delay: int = 0
    jitter: int = 0
    jitter_correlation: int = 0
    distribution: str = ""
    loss: int = 0
    loss_correlation: int = 0
    gilbert: GilbertElliott | None = None
    rate: int = 0
    limit: int = 0
    reorder: int = 0
    reorder_correlation: int = 0
    gap: int = 0
    duplicate: int = 0
    duplicate_correlation: int = 0
    corrupt: int = 0
    corrupt_correlation: int = 0

    @classmethod
    def of(cls, wanted: Mapping[str, object], *, spell: str = "{}", complete: bool = True) -> Self:
        """Make an impairment from names and values with units; None means "not given".

        Args:
            wanted: For example ``{"delay": "50ms", "loss": "1%"}``.
            spell: The format of property names in messages: ``"--{}"`` for options.
            complete: Whether required properties have to be given too. An impairment that overlays another one may
                be, for example, a jitter alone.

        Raises:
            UsageError: An invalid value, an unknown name, or an invalid combination.
        """
        values: dict[str, Any] = {}
        for key, text in wanted.items():
            field = spell.format(key)
            if key not in EXAMPLES:
                raise UsageError(
                    field, text, f"is not a property of a link; {hint(str(key), EXAMPLES)}", EXAMPLES["delay"]
                )
            if text is not None:
                values[key] = _read(key, field, text)
        return cls(**values).checked(wanted, spell, complete=complete)

    @classmethod
    def parse(cls, text: object, *, field: str = "link", complete: bool = True) -> Self:
        """Parse ``delay=50ms,loss=1%``; an empty string is a link without impairments.

        Raises:
            UsageError: As `of`; or it is not ``name=value,...``.
        """
        if not isinstance(text, str):
            raise UsageError(field, text, "is not a string", EXAMPLES["delay"])
        wanted: dict[str, object] = {}
        for item in text.split(",") if text.strip() else []:
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not key:
                raise UsageError(
                    field, text, f"contains {item.strip()!r}, which is not name=value", "delay=50ms,loss=1%"
                )
            if key in wanted:
                raise UsageError(f"{field} {key}", text, "is given twice", EXAMPLES.get(key, "delay=50ms"))
            wanted[key] = value
        return cls.of(wanted, spell=f"{field} {{}}", complete=complete)

    def changed(self, wanted: Mapping[str, object], *, spell: str = "{}") -> Self:
        """This impairment with some properties changed; ``{"loss": "0%"}`` removes the loss.

        Raises:
            UsageError: As `of`.
        """
        fresh = {key: text for key, text in wanted.items() if text is not None}
        for key, text in fresh.items():
            if key not in EXAMPLES:
                raise UsageError(
                    spell.format(key),
                    text,
                    f"is not a property of a link; {hint(str(key), EXAMPLES)}",
                    EXAMPLES["delay"],
                )
        values = {key: _read(key, spell.format(key), text) for key, text in fresh.items()}
        if "loss" in values and "gilbert" not in values:
            values["gilbert"] = None
        if "gilbert" in values and "loss" not in values:
            values["loss"] = values["loss_correlation"] = 0
        return msgspec.structs.replace(self, **values).checked(fresh, spell)

    def overlaid(self, other: Impairment, off: Iterable[str] = ()) -> Self:
        """This impairment with the properties that ``other`` sets, and without those in ``off``; not `checked`."""
        values = {key: getattr(other, key) for key in EXAMPLES if getattr(other, key) or key in off}
        if other.loss:
            values["gilbert"] = None
        if other.gilbert:
            values["loss"] = values["loss_correlation"] = 0
        return msgspec.structs.replace(self, **values)

    def checked(self, wanted: Mapping[str, object], spell: str, *, complete: bool = True) -> Self:
        """Return this value if its combination of properties is valid.

        Args:
            wanted: The properties as the user wrote them, for messages.
            spell: As for `of`.
            complete: As for `of`.

        Raises:
            UsageError: The combination is invalid.
        """

        def refuse(key: str, reason: str) -> UsageError:
            return UsageError(spell.format(key), wanted.get(key, self._show(key)), reason, EXAMPLES[key])

        for key, needed in _NEEDS.items():
            if complete and getattr(self, key) and not getattr(self, needed):
                raise refuse(key, f"requires {needed}")
        if self.jitter > self.delay and (complete or self.delay):
            raise refuse("jitter", f"is larger than the delay ({units.show_duration(self.delay)})")
        if self.gilbert is not None and self.loss:
            raise refuse("gilbert", "cannot be combined with loss: both are models of loss")
        return self

    def _show(self, key: str) -> str:
        value = getattr(self, key)
        if key in _DURATIONS:
            return units.show_duration(value)
        if key == "rate":
            return units.show_rate(value)
        if key in (*_COUNTS, "distribution", "gilbert"):
            return str(value)
        return units.show_chance(value)

    def __bool__(self) -> bool:
        return any(getattr(self, key) for key in EXAMPLES)

    def __str__(self) -> str:
        return self.named(())

    def named(self, also: Iterable[str]) -> str:
        """The properties in the syntax of ``--link``, including those in ``also`` that are disabled."""
        return ",".join(f"{key}={self._show(key)}" for key in EXAMPLES if getattr(self, key) or key in also)

    def __repr__(self) -> str:
        return f"Impairment({self})"


_NAME = r"[A-Za-z0-9_.]+"
_PLACED = re.compile(rf"\s*(?P<first>{_NAME})\s*(?P<arrow><>|-|>|<)\s*(?P<second>{_NAME})\s*:(?P<rest>.*)", re.DOTALL)
_LINK_EXAMPLE = "h1>h2:loss=5%"


class LinkSpec(msgspec.Struct, frozen=True):
    """An impairment and its place: every path, both directions of a link, or one direction.

    Attributes:
        impairment: The impairment.
        first: The sending node; empty for every path.
        second: The receiving node.
        both: Whether the opposite direction is impaired too.
        off: The properties that are disabled, even if the topology sets them: ``{"delay"}`` for ``delay=0ms``.
    """

    impairment: Impairment
    first: str = ""
    second: str = ""
    both: bool = True
    off: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: object, *, field: str = "link") -> Self:
        """Parse ``delay=50ms``, ``h1>h2:loss=5%`` (one direction) or ``h1-h2:loss=5%`` (both).

        Required properties, such as a delay for a jitter, may come from the impairment that it overlays.

        Raises:
            UsageError: As `Impairment.parse`; or there are not two names before the colon.
        """
        if not isinstance(text, str) or not text.strip():
            raise UsageError(field, text, "does not describe a link", _LINK_EXAMPLE)
        if re.fullmatch(_NAME, text.strip()) and text.strip() not in EXAMPLES:
            reason = (
                "names only one node. If the argument is not quoted, the shell interprets '>' as a redirection to a "
                "file"
            )
            raise UsageError(field, text, reason, f'{field} "{_LINK_EXAMPLE}"')
        match = _PLACED.fullmatch(text)
        if match is None:
            if ":" in text:
                place = text.partition(":")[0]
                raise UsageError(field, text, f"begins with {place!r}, which does not name two nodes", _LINK_EXAMPLE)
            impairment = Impairment.parse(text, field=field, complete=False)
            return cls(impairment, off=_off(impairment, text))
        first, second = match["first"], match["second"]
        if first == second:
            raise UsageError(field, text, f"connects {first} with itself", _LINK_EXAMPLE)
        if match["arrow"] == "<":
            first, second = second, first
        if match["arrow"] in ("-", "<>"):
            # Both orders of the two nodes name the same link.
            first, second = sorted((first, second))
        impairment = Impairment.parse(match["rest"], field=field, complete=False)
        return cls(impairment, first, second, match["arrow"] in ("-", "<>"), _off(impairment, match["rest"]))

    def __str__(self) -> str:
        text = self.impairment.named(self.off)
        return f"{self.first}{'-' if self.both else '>'}{self.second}:{text}" if self.first else text


def _off(impairment: Impairment, text: str) -> frozenset[str]:
    """The properties that are given with the value 0; for an empty string, the delay."""
    named = {item.partition("=")[0].strip() for item in text.split(",") if item.strip()} or {"delay"}
    return frozenset(key for key in named if not getattr(impairment, key))


def _read(key: str, field: str, text: object) -> Any:
    if key in _DURATIONS:
        return units.duration(field, text, EXAMPLES[key])
    if key in _COUNTS:
        return units.count(field, text, EXAMPLES[key])
    if key == "rate":
        return units.rate(field, text, EXAMPLES[key])
    if key == "gilbert":
        return GilbertElliott.parse(field, text)
    if key == "distribution":
        if text not in DISTRIBUTIONS:
            raise UsageError(field, text, f"is not one of {', '.join(DISTRIBUTIONS)}", EXAMPLES[key])
        return text
    return units.chance(field, text, EXAMPLES[key])
