"""What a link does to the segments that cross it, as a value.

    >>> Impairment.parse("delay=50ms,loss=1%")
    Impairment(delay=50ms,loss=1%)
    >>> LinkRequest.parse("h1>h2:loss=5%").impairment
    Impairment(loss=5%)

The same text is read on the command line (``--link delay=50ms,loss=1%``), the same names
are the keywords in Python and on pytest's markers. Pure: nothing here touches a kernel.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DISTRIBUTIONS = ("uniform", "normal", "pareto", "paretonormal")

#: netem's own default queue (``man tc-netem``), set explicitly so that it is known.
DEFAULT_LIMIT = 1000

#: Every key, with a correct example of it.
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
#: What a field means nothing without.
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
    """Bursts of loss: the Gilbert-Elliott model, in parts per billion.

    Attributes:
        worsen: Chance, per segment, of going from the good state to the bad (netem's p).
        recover: Chance, per segment, of going back (netem's r).
        bad: Loss in the bad state (netem's 1-h).
        good: Loss in the good state (netem's 1-k).
    """

    worsen: int
    recover: int
    bad: int = units.CERTAIN
    good: int = 0

    @classmethod
    def parse(cls, field: str, text: object) -> Self:
        """Read ``1%/10%``, ``1%/10%/100%`` or ``1%/10%/100%/0%``."""
        example = EXAMPLES["gilbert"]
        if not isinstance(text, str) or not 2 <= text.count("/") + 1 <= 4:
            raise UsageError(field, text, "is not two to four percentages with / between them", example)
        parts = [units.chance(field, part, example) for part in text.split("/")]
        if not parts[1]:
            raise UsageError(field, text, "never leaves the bad state (its second percentage is 0%)", example)
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(units.show_chance(part) for part in (self.worsen, self.recover, self.bad, self.good))


class Impairment(msgspec.Struct, frozen=True):
    """What happens to segments in one direction of a link; nothing, by default.

    Durations are nanoseconds, chances parts per billion, the rate bits per second of
    whole Ethernet frames (headers included, as netem counts), ``limit`` packets, those
    in flight on the link among them. 0 means "not impaired so".
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
        """Make an impairment from names and texts with units; None stands for "not given".

        Args:
            wanted: For example ``{"delay": "50ms", "loss": "1%"}``.
            spell: How the user wrote a field, for messages: ``"--{}"`` for options.
            complete: Whether it has to mean something by itself; what is laid over another may be
                a jitter alone.

        Raises:
            UsageError: A value that cannot be meant, an unknown name, or fields that
                mean nothing together; it names the field as ``spell`` spells it.
        """
        values: dict[str, Any] = {}
        for key, text in wanted.items():
            field = spell.format(key)
            if key not in EXAMPLES:
                raise UsageError(field, text, f"is not a property of a link; {_nearest(key)}", EXAMPLES["delay"])
            if text is not None:
                values[key] = _read(key, field, text)
        return cls(**values).checked(wanted, spell, complete=complete)

    @classmethod
    def parse(cls, text: object, *, field: str = "link", complete: bool = True) -> Self:
        """Read ``delay=50ms,loss=1%``; the empty text is a link that is not impaired.

        Raises:
            UsageError: As `of`, and for what is not ``name=value,...``.
        """
        if not isinstance(text, str):
            raise UsageError(field, text, "is not text", EXAMPLES["delay"])
        wanted: dict[str, object] = {}
        for item in text.split(",") if text.strip() else []:
            key, equals, value = (part.strip() for part in item.partition("="))
            if not equals or not key:
                raise UsageError(field, text, f"holds {item.strip()!r}, which is not name=value", "delay=50ms,loss=1%")
            if key in wanted:
                raise UsageError(f"{field} {key}", text, "is given twice", EXAMPLES.get(key, "delay=50ms"))
            wanted[key] = value
        return cls.of(wanted, spell=f"{field} {{}}", complete=complete)

    def changed(self, wanted: Mapping[str, object], *, spell: str = "{}") -> Self:
        """This impairment with some fields set anew; ``{"loss": "0%"}`` takes the loss away.

        Raises:
            UsageError: As `of`.
        """
        fresh = {key: text for key, text in wanted.items() if text is not None}
        for key, text in fresh.items():
            if key not in EXAMPLES:
                raise UsageError(
                    spell.format(key), text, f"is not a property of a link; {_nearest(key)}", EXAMPLES["delay"]
                )
        values = {key: _read(key, spell.format(key), text) for key, text in fresh.items()}
        if "loss" in values and "gilbert" not in values:
            values["gilbert"] = None
        if "gilbert" in values and "loss" not in values:
            values["loss"] = values["loss_correlation"] = 0
        return msgspec.structs.replace(self, **values).checked(fresh, spell)

    def overlaid(self, other: Impairment, off: Iterable[str] = ()) -> Self:
        """This impairment, with whatever ``other`` sets in its place, and without what is ``off``; not `checked`."""
        values = {key: getattr(other, key) for key in EXAMPLES if getattr(other, key) or key in off}
        if other.loss:
            values["gilbert"] = None
        if other.gilbert:
            values["loss"] = values["loss_correlation"] = 0
        return msgspec.structs.replace(self, **values)

    def checked(self, wanted: Mapping[str, object], spell: str, *, complete: bool = True) -> Self:
        """Return this value, or refuse fields that mean nothing together.

        Args:
            wanted: What was asked for, as it was written.
            spell: As for `of`.
            complete: As for `of`.

        Raises:
            UsageError: Which field, and why.
        """

        def refuse(key: str, reason: str) -> UsageError:
            return UsageError(spell.format(key), wanted.get(key, self._show(key)), reason, EXAMPLES[key])

        for key, needed in _NEEDS.items():
            if complete and getattr(self, key) and not getattr(self, needed):
                raise refuse(key, f"means nothing without a {needed}")
        if self.jitter > self.delay and (complete or self.delay):
            raise refuse("jitter", f"is larger than the delay ({units.show_duration(self.delay)})")
        if self.gilbert is not None and self.loss:
            raise refuse("gilbert", "is a second model of loss beside loss")
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

    def named(self, besides: Iterable[str]) -> str:
        """What happens, as ``--link`` takes it, and what does not happen of that which is to be named besides."""
        return ",".join(f"{key}={self._show(key)}" for key in EXAMPLES if getattr(self, key) or key in besides)

    def __repr__(self) -> str:
        return f"Impairment({self})"


_NAME = r"[A-Za-z0-9_.]+"
_PLACED = re.compile(rf"\s*(?P<first>{_NAME})\s*(?P<arrow><>|-|>|<)\s*(?P<second>{_NAME})\s*:(?P<rest>.*)", re.DOTALL)
_LINK_EXAMPLE = "h1>h2:loss=5%"


class LinkSpec(msgspec.Struct, frozen=True):
    """An impairment and where it is to be: on every path, between two nodes, or one way.

    Attributes:
        impairment: What happens there.
        first: The node that sends; empty for "wherever the topology is impaired".
        second: The node that receives.
        both: Whether the way back is impaired alike.
        off: What is not to happen there, whatever else asks for it: ``{"delay"}`` for ``delay=0ms``.
    """

    impairment: Impairment
    first: str = ""
    second: str = ""
    both: bool = True
    off: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: object, *, field: str = "link") -> Self:
        """Read ``delay=50ms``, ``h1>h2:loss=5%`` (one way) or ``h1-h2:loss=5%`` (both ways).

        What it needs, such as a delay for a jitter, may be there already, where it is laid over.

        Raises:
            UsageError: As `Impairment.parse`; or the place before the colon is not two names.
        """
        if not isinstance(text, str) or not text.strip():
            raise UsageError(field, text, "describes no link", _LINK_EXAMPLE)
        match = _PLACED.fullmatch(text)
        if match is None:
            if ":" in text:
                place = text.partition(":")[0]
                raise UsageError(field, text, f"begins with {place!r}, which is not two nodes", _LINK_EXAMPLE)
            impairment = Impairment.parse(text, field=field, complete=False)
            return cls(impairment, off=_off(impairment, text))
        first, second = match["first"], match["second"]
        if first == second:
            raise UsageError(field, text, f"joins {first} with itself", _LINK_EXAMPLE)
        if match["arrow"] == "<":
            first, second = second, first
        if match["arrow"] in ("-", "<>"):
            # Both ways is one thing, however it was written.
            first, second = sorted((first, second))
        impairment = Impairment.parse(match["rest"], field=field, complete=False)
        return cls(impairment, first, second, match["arrow"] in ("-", "<>"), _off(impairment, match["rest"]))

    def __str__(self) -> str:
        text = self.impairment.named(self.off)
        return f"{self.first}{'-' if self.both else '>'}{self.second}:{text}" if self.first else text


def _off(impairment: Impairment, text: str) -> frozenset[str]:
    """What a text names only to say that it is not to happen; an empty one says so of the delay."""
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


def _nearest(key: str) -> str:
    import difflib  # noqa: PLC0415 -- only a wrong key needs it

    near = difflib.get_close_matches(str(key), EXAMPLES, n=1, cutoff=0.5)
    return f"the nearest is {near[0]!r}" if near else f"there are {', '.join(EXAMPLES)}"
