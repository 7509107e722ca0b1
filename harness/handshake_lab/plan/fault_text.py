"""The grammar of faults, and parsing the text of ``--fault`` to the parts of a `Fault`."""

from __future__ import annotations

import re
from typing import Any

from handshake_lab.errors import UsageError
from handshake_lab.plan.nearest_name import hint
from handshake_lab.tcp.flags import NO_FLAGS

#: Kinds of segments; a FIN or a SYN with data is DATA as well. A kind can also be any combination of flags, as ladders
#: print them: FIN-PSH-ACK (`handshake_lab.tcp.flags.match` defines what it matches).
KINDS = ("SYN", "SYN-ACK", "ACK", "DATA", "FIN", "RST", "any", "UDP", "ICMP")
#: Kinds that are not TCP segments. Each ICMP error is also a kind, by its name.
OTHER_KINDS = ("UDP", "ICMP")
#: Kinds that can be injected; also any combination of flags, and any ICMP error.
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
    "stop": "stop h2 10s on DATA nth=1 from h1",
    "kill": "kill h2 on DATA nth=1 from h1",
    "restart": "restart h2 on DATA nth=1 from h1",
}
#: Actions on the servers of a host, just before a segment leaves the middle. Its kind is that of the segment, its
#: receiver the host.
PROGRAM_ACTIONS = ("stop", "kill", "restart")

#: The grammar, for help texts and docs/how-to/faults.md.
GRAMMAR = """\
FAULT   = drop WHAT | delay WHAT TIME | duplicate WHAT [copies=N] | reorder WHAT [behind=N]
        | corrupt WHAT | hold WHAT | inject MADE [from HOST] to HOST [seq=±N] [ack=±N] on WHAT
                                                   hold: until a test releases it
        | stop HOST TIME on WHAT | kill HOST on WHAT | restart HOST on WHAT    the servers of a host
WHAT    = KIND [WHICH] [from HOST] [to HOST] [port=N] [ipv4 | ipv6] [optional]
        | #N [KIND] [seq=N] [ack=N] [len=N]        a segment as a ladder prints it: #11 FIN-ACK seq=18 ack=16
KIND    = SYN | SYN-ACK | ACK | DATA | FIN | RST | any    ACK: without data; DATA: with data
        | FLAGS                                    FIN-ACK, PSH,ACK, SYN-ECE-CWR or SA; FIN-ACK also matches FIN-PSH-ACK
        | UDP | ICMP | ICMP-ERROR                  ICMP-port-unreachable, ICMP-fragmentation-needed, …
WHICH   = nth=N[,N…] | nth=last | first=N | every=N | all    counted from 1; all is the default
MADE    = FLAGS | ICMP-ERROR                       seq, ack: distance from the numbers that the receiver expects
TIME    = 300ms | 1s | 250us | 10ns"""

#: Every word with a correct example.
WORDS = {
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
    "number": "drop #11",
    "rel_seq": "drop #11 FIN-ACK seq=18",
    "rel_ack": "drop #11 FIN-ACK ack=16",
    "length": "drop #11 PSH-ACK len=100",
    "family": "ipv6",
    "payload": "payload=abc",
    "window": "window=0",
    "options": "options=mss:1460,sackok,ts:1:0,nop,ws:7",
    "absolute": "absolute",
    "sport": "sport=40000",
    "mtu": "mtu=1000",
}
#: Words that are followed by their value, and their names in `Fault.make`.
_FOLLOWED = {"from": "from_", "to": "to", "on": "on", "by": "by"}
#: Words without a value.
_ALONE = ("all", "optional", "ipv4", "ipv6", "absolute")
#: Keywords after a ladder's segment number (#N), and their names in `Fault.make`.
_LABEL = {"seq": "rel_seq", "ack": "rel_ack", "len": "length"}
#: The mark of a retransmission in a ladder, which is ignored, because the segment's number identifies it.
_AGAIN = re.compile(r"(?:\s+(?:rtx\s+|↻|rtx))#[0-9]+")
_NUMBER = re.compile(r"#([0-9]{1,7})")
_ICMP = re.compile(r"\bICMP((?: [a-z]+(?=[ ,]|$))+)(?:, MTU [0-9]+)?")


def read_words(text: object, field: str) -> tuple[str, str, dict[str, Any]]:
    """The action, the kind and the other parts in the text of a fault.

    Args:
        text: As in `GRAMMAR`.
        field: The name of the fault in messages.

    Returns:
        The parts are arguments of `handshake_lab.plan.fault.Fault.make`, which checks them.

    Raises:
        UsageError: A word is unknown, or has no value.
    """
    if not isinstance(text, str) or not text.strip():
        raise UsageError(field, text, "does not describe a fault", ACTIONS["drop"])
    words = _ICMP.sub(_joined, _AGAIN.sub("", text)).split()
    action = words.pop(0).lower()
    if action in ACTIONS and not words:
        raise UsageError(f"{field} segment", text, "does not name a kind of segment", ACTIONS[action])
    number = _take_number(words)
    labelled = number is not None
    kind = words.pop(0) if words and (not labelled or _is_kind(words[0])) else ("any" if labelled else "")
    if kind == "-":  # a narrow ladder's label of a segment without flags
        kind = NO_FLAGS
    if number is None:
        number = _take_number(words)
    parts = _parts(text, words, action, field, labelled=number is not None and action != "inject")
    if number is not None:
        parts["number"] = number
    if action in PROGRAM_ACTIONS:
        return action, *_of_programs(text, kind, parts, field, action)
    return action, kind, parts


def _of_programs(text: str, host: str, parts: dict[str, Any], field: str, action: str) -> tuple[str, dict[str, Any]]:
    """The kind and the parts of an action on the servers of a host, whose name is in the place of the kind."""
    if "to" in parts:
        raise UsageError(f"{field} to", text, "names a second host", ACTIONS[action])
    kind = parts.pop("on", "any" if "number" in parts else "")
    if not kind:
        raise UsageError(f"{field} on", text, "does not name the segment at which it happens", ACTIONS[action])
    return kind, {**parts, "to": host}


def _joined(match: re.Match[str]) -> str:
    """An ICMP error as one word; words of the grammar after it are not changed."""
    words = match[1].split()
    ends = next((place for place, word in enumerate(words) if word in (*_FOLLOWED, *_ALONE)), len(words))
    return " ".join(["-".join(["ICMP", *words[:ends]]), *words[ends:]])


def _is_kind(word: str) -> bool:
    return "=" not in word and not word[:1].isdigit() and word not in (*_FOLLOWED, *_ALONE)


def _take_number(words: list[str]) -> int | None:
    match = _NUMBER.fullmatch(words[0]) if words else None
    if match is None:
        return None
    words.pop(0)
    return int(match[1])


def _parts(text: str, words: list[str], action: str, field: str, *, labelled: bool) -> dict[str, Any]:
    """The words after the action and the kind, by name."""
    example = ACTIONS.get(action, ACTIONS["drop"])
    parts: dict[str, Any] = {}
    while words:
        name, value = _part(text, words, field)
        if labelled:
            name = _LABEL.get(name, name)
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
    if word.lower() in ("ipv4", "ipv6"):
        return "family", word.lower()
    if word in _ALONE:
        return word, True
    if word in _FOLLOWED:
        if not words:
            raise UsageError(f"{field} {word}", text, "has no value", ACTIONS["drop"])
        if word == "on" and (number := _take_number(words)) is not None:
            return "number", number
        return _FOLLOWED[word], words.pop(0)
    if equals and name in ("nth", "first", "every", "len", *WORDS):
        return name, value
    if word[:1].isdigit() or word[:1] == "-":
        # "delay FIN 300ms": a bare quantity can only be a duration.
        return "by", word
    known = (*_FOLLOWED, *_ALONE, *WORDS)
    raise UsageError(
        f"{field} {name}", text, f"is not a keyword of the fault syntax; {hint(name, known)}", ACTIONS["drop"]
    )
