"""Faults: chosen segments are dropped, delayed, duplicated, reordered, corrupted, held, or injected.

    >>> str(Fault.parse("drop SYN nth=1 from h1"))
    'drop SYN nth=1 from h1'
    >>> Fault.make("delay", "FIN", by="300ms") == Fault.parse("delay FIN 300ms")
    True

A fault is applied to TCP segments on the last link to a host, before the impairment of that link. It counts the
segments that match it. Other faults do not change its count: neither what they do to a segment, nor the segments that
they inject. Pure; `handshake_lab.network.faults.active_faults` implements faults.
"""

from __future__ import annotations

import re
from typing import Any, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.nearest_name import hint
from handshake_lab.tcp import flags

#: Kinds of segments; a FIN or a SYN with data is DATA as well. A kind can also be any
#: combination of flags, as ladders print them: FIN-PSH-ACK (`handshake_lab.tcp.flags.match` says what it matches).
KINDS = ("SYN", "SYN-ACK", "ACK", "DATA", "FIN", "RST", "any")
#: Kinds that can be injected; also any combination of flags.
MADE = ("SYN", "SYN-ACK", "ACK", "FIN", "RST", "RST-ACK")

#: Every action with a correct example.
ACTIONS: dict[str, str] = {
    "drop": "drop SYN nth=1 from h1",
    "delay": "delay FIN 300ms",
    "duplicate": "duplicate SYN nth=1",
    "reorder": "reorder DATA nth=2",
    "corrupt": "corrupt DATA nth=1",
    "hold": "hold ACK nth=1",
    "inject": "inject RST to h2 on SYN-ACK nth=1",
}

_WORDS = {
    "nth": "nth=1",
    "first": "first=3",
    "every": "every=2",
    "by": "delay FIN 300ms",
    "behind": "reorder DATA nth=2 behind=1",
    "copies": "duplicate SYN nth=1 copies=1",
    "port": "port=80",
    "seq": "seq=+0",
    "ack": "ack=+0",
    "on": "on SYN-ACK nth=1",
}
_NODE = re.compile(r"[A-Za-z0-9_.]{1,15}")
_OFFSET = re.compile(r"[+-]?[0-9]{1,10}")
_MOST_NTH = 1_000_000


class Fault(msgspec.Struct, frozen=True):
    """What is done to which segments.

    Attributes:
        action: One of `ACTIONS`.
        kind: One of `KINDS`, or a combination of flags; for ``inject`` the flags of the segment that is made.
        nth: The 1-based numbers of the matching segments on which it acts; empty: all.
        first: It acts on the first N only; 0: no limit.
        every: It acts on each Nth only; 0: on all.
        sender: Only segments from this host; for ``inject``: the host that the segment appears to come from.
        receiver: Only segments to this host.
        port: Only segments from or to this TCP port; 0 for any.
        by: ``delay``: nanoseconds.
        behind: ``reorder``: the number of later segments of the flow that go first.
        copies: ``duplicate``: the number of copies that follow the segment.
        seq: ``inject``: distance from the sequence number that the receiver expects next.
        ack: ``inject``: distance from the number that acknowledges all data that the receiver has sent;
            None for no acknowledgment (except in kinds that have one).
        on: ``inject``: the kind of the segment after which it is sent; ``nth``, ``first`` and ``every`` count these.
            Empty: at once (from Python only).
        optional: Whether the run may succeed if it never fires.
    """

    action: str
    kind: str
    nth: tuple[int, ...] = ()
    first: int = 0
    every: int = 0
    sender: str = ""
    receiver: str = ""
    port: int = 0
    by: int = 0
    behind: int = 0
    copies: int = 0
    seq: int = 0
    ack: int | None = None
    on: str = ""
    optional: bool = False

    @classmethod
    def make(
        cls,
        action: str,
        kind: str,
        *,
        nth: object = None,
        first: object = None,
        every: object = None,
        from_: str | None = None,
        to: str | None = None,
        optional: bool = False,
        field: str = "fault",
        **more: object,
    ) -> Self:
        """Make a fault from its parts.

        Args:
            action: One of `ACTIONS`.
            kind: One of `KINDS`, or of `MADE` for ``inject``, or a combination of flags: "PSH-ACK".
            nth: 1, (1, 3) or "1,3".
            first: A count.
            every: A count.
            from_: A host.
            to: A host.
            optional: Whether it may never fire.
            field: The name of the fault in messages.
            more: ``by`` (a duration with its unit), ``behind``, ``copies``, ``port``,
                ``seq``, ``ack``, ``on``.

        Raises:
            UsageError: A part is invalid; the message names it.
        """
        if action not in ACTIONS:
            raise UsageError(f"{field} action", action, f"is not an action; {hint(action, ACTIONS)}", ACTIONS["drop"])
        kinds = MADE if action == "inject" else KINDS
        for name, value in more.items():
            if name not in _WORDS:
                raise UsageError(
                    f"{field} {name}", value, f"is not a word of a fault; {hint(name, _WORDS)}", ACTIONS[action]
                )
        given = {name: value for name, value in more.items() if value is not None}
        values: dict[str, Any] = {
            "nth": () if nth is None else _numbers(f"{field} nth", nth),
            "first": 0 if first is None else _positive(f"{field} first", first, _WORDS["first"]),
            "every": 0 if every is None else _positive(f"{field} every", every, _WORDS["every"]),
            "sender": _node(f"{field} from", from_),
            "receiver": _node(f"{field} to", to),
            "optional": bool(optional),
            **{name: _read(name, f"{field} {name}", value) for name, value in given.items()},
        }
        if action == "reorder":
            values.setdefault("behind", 1)
        if action == "duplicate":
            values.setdefault("copies", 1)
        return cls(action, _kind(f"{field} segment", kind, kinds), **values).checked(field)

    def checked(self, field: str) -> Self:
        """Return this value if its combination of parts is valid."""
        example = ACTIONS[self.action]

        def refuse(part: str, value: object, reason: str) -> UsageError:
            return UsageError(f"{field} {part}", value, reason, example)

        if sum(map(bool, (self.nth, self.first, self.every))) > 1:
            raise refuse("nth", str(self), "uses more than one of nth, first and every")
        if self.sender and self.sender == self.receiver:
            raise refuse("to", self.receiver, "is also the sender")
        for part, action in (("by", "delay"), ("behind", "reorder"), ("copies", "duplicate")):
            if (self.action == action) != bool(getattr(self, part)):
                what = "has no duration" if part == "by" else f"has {part}, which is for {action} only"
                raise refuse(
                    part, str(self), what if self.action == action else f"has {part}, which is for {action} only"
                )
        if self.action != "inject":
            if self.seq or self.ack is not None or self.on:
                raise refuse("seq", str(self), "has seq, ack or on, which are for inject only")
        elif not self.receiver:
            raise refuse("to", str(self), "does not name the receiver of the segment")
        elif not self.on and (self.nth or self.first or self.every):
            raise refuse("on", str(self), "counts segments, but does not name their kind (on KIND)")
        return self

    @classmethod
    def parse(cls, text: object, *, field: str = "fault") -> Self:
        """Parse ``drop SYN nth=1 from h1``.

        Raises:
            UsageError: As `make`; or a word is unknown.
        """
        example = ACTIONS["drop"]
        if not isinstance(text, str) or not text.strip():
            raise UsageError(field, text, "does not describe a fault", example)
        words = text.split()
        action = words.pop(0).lower()
        if action in ACTIONS and not words:
            raise UsageError(f"{field} segment", text, "does not name a kind of segment", ACTIONS[action])
        kind = words.pop(0) if words else ""
        parts = _parts(text, words, action, field)
        fault = cls.make(action, kind, field=field, **parts)
        if fault.action == "inject" and not fault.on:
            raise UsageError(f"{field} on", text, "does not name the segment after which it is sent", ACTIONS["inject"])
        return fault

    def hits(self, number: int) -> bool:
        """Whether the fault acts on the ``number``-th matching segment, counted from 1."""
        if self.nth:
            return number in self.nth
        if self.first:
            return number <= self.first
        return not self.every or number % self.every == 0

    @property
    def watched(self) -> str:
        """The kind of segment that is counted."""
        return self.on if self.action == "inject" else self.kind

    def __str__(self) -> str:
        words = [self.action, self.kind]
        if self.by:
            words.append(units.show_duration(self.by))
        if self.action == "inject":
            words += [f"from {self.sender}"] * bool(self.sender) + [f"to {self.receiver}"]
            words += [f"seq={self.seq:+d}"] * bool(self.seq)
            words += [f"ack={self.ack:+d}"] if self.ack is not None else []
            words += [f"on {self.on}"] * bool(self.on)
        if self.nth:
            words.append("nth=" + ",".join(map(str, self.nth)))
        words += [f"first={self.first}"] * bool(self.first) + [f"every={self.every}"] * bool(self.every)
        words += [f"behind={self.behind}"] * (self.behind > 1) + [f"copies={self.copies}"] * (self.copies > 1)
        if self.action != "inject":
            words += [f"from {self.sender}"] * bool(self.sender) + [f"to {self.receiver}"] * bool(self.receiver)
        words += [f"port={self.port}"] * bool(self.port) + ["optional"] * self.optional
        return " ".join(words)


#: Words that are followed by their value, and their names in `Fault.make`.
_FOLLOWED = {"from": "from_", "to": "to", "on": "on", "by": "by"}


def _parts(text: str, words: list[str], action: str, field: str) -> dict[str, Any]:
    """The words after the action and the kind, by name."""
    example = ACTIONS.get(action, ACTIONS["drop"])
    parts: dict[str, Any] = {}
    while words:
        name, value = _part(text, words, field)
        if name in parts:
            raise UsageError(f"{field} {name.rstrip('_')}", text, "is given twice", example)
        parts[name] = value
    if parts.pop("all", False):
        for name in ("nth", "first", "every"):
            if name in parts:
                raise UsageError(f"{field} {name}", text, "contradicts 'all'", example)
    return parts


def _part(text: str, words: list[str], field: str) -> tuple[str, Any]:
    """Take the next word, or two, as the name of a part and its value."""
    word = words.pop(0)
    name, equals, value = word.partition("=")
    if word in ("all", "optional"):
        return word, True
    if word in _FOLLOWED:
        if not words:
            raise UsageError(f"{field} {word}", text, "has no value", ACTIONS["drop"])
        return _FOLLOWED[word], words.pop(0)
    if equals and name in ("nth", "first", "every", *_WORDS):
        return name, value
    if word[:1].isdigit() or word[:1] == "-":
        # "delay FIN 300ms": a bare quantity can only be a duration.
        return "by", word
    known = (*_FOLLOWED, "all", "optional", *_WORDS)
    raise UsageError(f"{field} {name}", text, f"is not a word of a fault; {hint(name, known)}", ACTIONS["drop"])


def _read(name: str, field: str, value: object) -> Any:
    example = _WORDS[name]
    if name == "by":
        found = units.duration(field, value, example)
        if not found:
            raise UsageError(field, value, "is not a delay", example)
        return found
    if name in ("seq", "ack"):
        if isinstance(value, bool) or not _OFFSET.fullmatch(str(value)) or abs(int(str(value))) >= 2**31:
            raise UsageError(field, value, "is not a distance between -2147483647 and 2147483647", example)
        return int(str(value))
    if name == "on":
        return _kind(field, value, KINDS)
    if name == "port":
        return units.count(field, value, example, most=65535)
    return _positive(field, value, example)


def _positive(field: str, value: object, example: str) -> int:
    return units.count(field, value, example, most=_MOST_NTH)


def _numbers(field: str, value: object) -> tuple[int, ...]:
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple | list) else [value]
    if not items:
        raise UsageError(field, value, "is empty", "nth=1")
    return tuple(sorted({_positive(field, item, "nth=1,3") for item in items}))


def _node(field: str, name: object) -> str:
    if name is None:
        return ""
    if not isinstance(name, str) or not _NODE.fullmatch(name):
        raise UsageError(field, name, "is not the name of a host", "from h1")
    return name


def _kind(field: str, kind: object, kinds: tuple[str, ...]) -> str:
    if isinstance(kind, str):
        for known in kinds:
            if kind.lower() == known.lower():
                return known
        letters = flags.letters(kind)
        if letters is not None:
            return flags.names(letters)
    raise UsageError(field, kind, f"is not a kind of segment; {hint(str(kind), kinds)}", ACTIONS["drop"])
