"""Faults on chosen segments: drop, delay, duplicate, reorder, corrupt, hold, inject; on servers: stop, kill, restart.

    >>> str(Fault.parse("drop SYN nth=1 from h1"))
    'drop SYN nth=1 from h1'
    >>> Fault.make("delay", "FIN", by="300ms") == Fault.parse("delay FIN 300ms")
    True

A fault is applied to TCP segments on the last link to a host, before the impairment of that link. It counts the
segments that match it. Other faults do not change its count: neither what they do to a segment, nor the segments that
they inject. `handshake_lab.plan.fault_text` has the grammar. Pure; `handshake_lab.network.faults.active_faults`
implements faults.
"""

from __future__ import annotations

from typing import Any, Self

import msgspec

from handshake_lab.errors import UsageError
from handshake_lab.plan import units
from handshake_lab.plan.fault_text import ACTIONS, KINDS, MADE, OTHER_KINDS, PROGRAM_ACTIONS, WORDS, read_words
from handshake_lab.plan.fault_values import node, numbers, positive, read_kind, read_value
from handshake_lab.plan.nearest_name import hint


class Fault(msgspec.Struct, frozen=True):
    """What is done to which segments.

    Attributes:
        action: One of `ACTIONS`.
        kind: One of `KINDS`, or a combination of flags; for ``inject`` the flags of the segment that is made.
        nth: The 1-based numbers of the matching segments on which it acts; empty: all.
        first: It acts on the first N only; 0: no limit.
        every: It acts on each Nth only; 0: on all.
        sender: Only segments from this host; for ``inject``: the host that the segment appears to come from.
        receiver: Only segments to this host; for ``stop``, ``kill`` and ``restart``: the host of the servers.
        port: Only segments from or to this port; 0 for any.
        by: ``delay`` and ``stop``: nanoseconds.
        behind: ``reorder``: the number of later segments of the flow that go first.
        copies: ``duplicate``: the number of copies that follow the segment.
        seq: ``inject``: distance from the sequence number that the receiver expects next.
        ack: ``inject``: distance from the number that acknowledges all data that the receiver has sent;
            None for no acknowledgment (except in kinds that have one).
        on: ``inject``: the kind of the segment after which it is sent; ``nth``, ``first`` and ``every`` count these.
            Empty: at once (from Python only).
        optional: Whether the run may succeed if it never fires.
        last: It acts on the last matching segment, which only a run without the fault shows.
        number: It acts on the segment with this number in the ladder (#11); 0 for any. ``kind`` then is a check.
        rel_seq: Only a segment with this relative sequence number, as in the ladder; with ``number`` only. Likewise
            ``rel_ack`` and ``length``.
        family: Only "ipv4", or only "ipv6"; empty for both.
        payload: ``inject``: the data of the segment that is made.
        window: ``inject``: its window field.
        options: ``inject``: its options, as bytes of the header.
        absolute: ``inject``: ``seq`` and ``ack`` are the numbers in the header themselves.
        sport: ``inject``: its source port, if it belongs to no connection that has been observed.
        mtu: ``inject`` of an ICMP error: the MTU that it reports.
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
    last: bool = False
    number: int = 0
    rel_seq: int | None = None
    rel_ack: int | None = None
    length: int | None = None
    family: str = ""
    payload: bytes = b""
    window: int | None = None
    options: bytes = b""
    absolute: bool = False
    sport: int = 0
    mtu: int = 0

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
            nth: 1, (1, 3), "1,3" or "last".
            first: A count.
            every: A count.
            from_: A host.
            to: A host.
            optional: Whether it may never fire.
            field: The name of the fault in messages.
            more: ``by`` (a duration with its unit), ``behind``, ``copies``, ``port``, ``seq``, ``ack``, ``on``,
                ``number``, ``family``; for ``inject`` also ``payload``, ``window``, ``options``, ``absolute``,
                ``sport``, ``mtu``.

        Raises:
            UsageError: A part is invalid; the message names it.
        """
        if action not in ACTIONS:
            raise UsageError(f"{field} action", action, f"is not an action; {hint(action, ACTIONS)}", ACTIONS["drop"])
        kinds = MADE if action == "inject" else KINDS
        for name, value in more.items():
            if name not in WORDS:
                raise UsageError(
                    f"{field} {name}",
                    value,
                    f"is not a keyword of the fault syntax; {hint(name, WORDS)}",
                    ACTIONS[action],
                )
        last = nth == "last"
        given = {name: value for name, value in more.items() if value is not None}
        values: dict[str, Any] = {
            "nth": () if nth is None or last else numbers(f"{field} nth", nth),
            "last": last,
            "first": 0 if first is None else positive(f"{field} first", first, WORDS["first"]),
            "every": 0 if every is None else positive(f"{field} every", every, WORDS["every"]),
            "sender": node(f"{field} from", from_),
            "receiver": node(f"{field} to", to),
            "optional": bool(optional),
            **{name: read_value(name, f"{field} {name}", value) for name, value in given.items()},
        }
        if action == "reorder":
            values.setdefault("behind", 1)
        if action == "duplicate":
            values.setdefault("copies", 1)
        return cls(action, read_kind(f"{field} segment", kind, kinds), **values).checked(field)

    def checked(self, field: str) -> Self:
        """Return this value if its combination of parts is valid."""
        example = ACTIONS[self.action]

        def refuse(part: str, value: object, reason: str) -> UsageError:
            return UsageError(f"{field} {part}", value, reason, example)

        if sum(map(bool, (self.nth, self.last, self.first, self.every))) > 1:
            raise refuse("nth", str(self), "uses more than one of nth, first and every")
        if self.number and (self.nth or self.last or self.first or self.every):
            raise refuse("nth", str(self), f"counts segments, but #{self.number} is one segment")
        if self.action in PROGRAM_ACTIONS and not self.receiver:
            raise refuse("to", str(self), "does not name the host of the servers")
        if self.sender and self.sender == self.receiver and self.action not in PROGRAM_ACTIONS:
            raise refuse("to", self.receiver, "is also the sender")
        for part, actions in (("by", ("delay", "stop")), ("behind", ("reorder",)), ("copies", ("duplicate",))):
            if (self.action in actions) != bool(getattr(self, part)):
                lacks = part == "by" and self.action in actions
                only = f"has {part}, which is for {' and '.join(actions)} only"
                raise refuse(part, str(self), "has no duration" if lacks else only)
        if self.kind in OTHER_KINDS and self.action == "reorder":
            raise refuse("segment", self.kind, "has no later segments of its flow")
        wrong = self._wrong_injection() if self.action == "inject" else self._wrong_match()
        if wrong:
            raise refuse(wrong[0], str(self), wrong[1])
        return self

    def _wrong_match(self) -> tuple[str, str] | None:
        """The part that is for ``inject`` only, and what is wrong with it, if there is one."""
        if self.seq or self.ack is not None or self.on:
            return "seq", "has seq, ack or on, which are for inject only"
        made = {"payload": self.payload, "options": self.options, "absolute": self.absolute, "sport": self.sport}
        made |= {"window": self.window is not None, "mtu": self.mtu}
        return next(((part, f"has {part}, which is for inject only") for part, value in made.items() if value), None)

    def _wrong_injection(self) -> tuple[str, str] | None:
        """The part of an ``inject`` that is missing or invalid, and what is wrong with it, if there is one."""
        if not self.receiver:
            return "to", "does not name the receiver of the segment"
        if not self.on and (self.nth or self.last or self.first or self.every):
            return "on", "counts segments, but does not name their kind (on KIND)"
        if not self.absolute and max(abs(self.seq), abs(self.ack or 0)) >= 2**31:
            return "seq", "has a distance that is not between -2147483647 and 2147483647"
        if self.mtu and not self.kind.startswith("ICMP"):
            return "mtu", "has an MTU, which only ICMP errors have"
        return None

    @classmethod
    def parse(cls, text: object, *, field: str = "fault") -> Self:
        """Parse ``drop SYN nth=1 from h1``.

        Raises:
            UsageError: As `make`; or a word is unknown.
        """
        action, kind, parts = read_words(text, field)
        fault = cls.make(action, kind, field=field, **parts)
        if fault.action == "inject" and not fault.on and not fault.number:
            raise UsageError(f"{field} on", text, "does not name the segment after which it is sent", ACTIONS["inject"])
        return fault

    def hits(self, number: int) -> bool:
        """Whether the fault acts on the ``number``-th matching segment, counted from 1."""
        if self.last:
            return False
        if self.nth:
            return number in self.nth
        if self.first:
            return number <= self.first
        return not self.every or number % self.every == 0

    @property
    def watched(self) -> str:
        """The kind of segment that is counted."""
        return (self.on or "any") if self.action == "inject" else self.kind

    @property
    def needs_middlebox(self) -> bool:
        """Whether the packet filter cannot carry it out: it takes more than to drop by kind, host, port and count."""
        return self.action != "drop" or bool(self.number) or self.kind.startswith("ICMP-")

    def __str__(self) -> str:
        if self.action in PROGRAM_ACTIONS:
            return self._of_programs()
        made = self.action == "inject"
        words = [self.action]
        words += [f"#{self.number}"] * bool(self.number and not made)
        words += [self.kind] * (made or not self.number or self.kind != "any")
        for name, value in (("seq", self.rel_seq), ("ack", self.rel_ack), ("len", self.length)):
            words += [f"{name}={value}"] * (value is not None)
        if self.by:
            words.append(units.show_duration(self.by))
        if made:
            words += [f"from {self.sender}"] * bool(self.sender) + [f"to {self.receiver}"]
            words += ["absolute"] * self.absolute
            sign = "" if self.absolute else "+"
            words += [f"seq={self.seq:{sign}d}"] * bool(self.seq)
            words += [f"ack={self.ack:{sign}d}"] if self.ack is not None else []
            words += [f"window={self.window}"] * (self.window is not None)
            words += [f"payload=0x{self.payload.hex()}"] * bool(self.payload)
            words += [f"options=0x{self.options.hex()}"] * bool(self.options)
            words += [f"sport={self.sport}"] * bool(self.sport) + [f"mtu={self.mtu}"] * bool(self.mtu)
            words += [f"on {self.on}"] * bool(self.on) + [f"on #{self.number}"] * bool(self.number)
        if self.nth:
            words.append("nth=" + ",".join(map(str, self.nth)))
        words += ["nth=last"] * self.last
        words += [f"first={self.first}"] * bool(self.first) + [f"every={self.every}"] * bool(self.every)
        words += [f"behind={self.behind}"] * (self.behind > 1) + [f"copies={self.copies}"] * (self.copies > 1)
        if not made:
            words += [f"from {self.sender}"] * bool(self.sender) + [f"to {self.receiver}"] * bool(self.receiver)
        words += [f"port={self.port}"] * bool(self.port) + [self.family] * bool(self.family)
        return " ".join([*words, *["optional"] * self.optional])

    def _of_programs(self) -> str:
        """The text of an action on the servers of a host: ``restart h2 on DATA nth=1 from h1``."""
        segment = str(msgspec.structs.replace(self, action="drop", receiver="", by=0)).partition(" ")[2]
        by = [units.show_duration(self.by)] if self.by else []
        return " ".join([self.action, self.receiver, *by, "on", segment])
