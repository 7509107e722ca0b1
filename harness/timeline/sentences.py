"""What is said of a record, in English: sentences by kind, with the values that stand in them.

A reader who speaks another language says a kind in it, with the same values: see
`harness.report.words`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

#: English sentences by kind. ``{name}`` stands for a value.
SENTENCES = {
    "way": "{who}: {way}",
    "late": "{who}: its first states were not recorded",
    "jump": "{who}: was {state}, then left {old}",
    "left": "{who}: {why} ({seconds} s in {state} when the recording ended)",
    "left_syn": "was still waiting for an answer to its SYN",
    "left_handshake": "was still waiting for the last ACK of the handshake",
    "left_fin": "was still waiting for its FIN to be acknowledged",
    "left_other": "was still waiting for the other side to close",
    "left_open": "never left CLOSE-WAIT: its program did not close the socket",
    "gap": "{who}: {step} at {time} s: cannot be judged, {objection}",
    "lie": "{who}: {step} at {time} s: {objection}",
    "no_edge": "{who}: {step} at {time} s: there is no such edge",
    "linux": "{who}: {step} at {time} s: edge {edge}, which Linux adds: {event}",
    "cut": "the record was cut before the run ended",
    "again": "{who}: {what} sent again after {waits} s because {why}",
    "again_times": "{who}: {what} sent again {count} times after {waits} s because {why}",
    "again_more": "{who}: and {count} more segments of data were sent again, {lost} of them because they were lost",
    "data": "{length} B of data",
    "segment": "{name}",
    "segment_data": "{name} with {length} B",
    "and_then": "{first} and then {second}",
    "lost": "it was lost",
    "damaged": "it was damaged on the way",
    "early": "its acknowledgment could not have come back yet",
    "unanswered": "{receiver} did not acknowledge it",
    "ack_lost": "its acknowledgment, segment {number}, was lost",
    "acks_lost": "its acknowledgments, segments {numbers}, were lost",
    "ack_late": "its acknowledgment had not come back yet",
    "ack_refused": "{sender} did not take its acknowledgment for one",
    "deviates": "not as documented: {count} of {all} transitions deviate from RFC 9293",
    "unseen": "as documented, as far as it could be seen",
    "agrees": "as documented: all {all} transitions are edges of RFC 9293's diagram",
}

Value: TypeAlias = "str | int | Said"


class Said(msgspec.Struct, frozen=True):
    """A sentence or a part of one: its kind, and its values, which may be parts themselves."""

    kind: str
    values: dict[str, Value] = {}

    def __str__(self) -> str:
        return SENTENCES[self.kind].format(**self.values)


def say(kind: str, **values: Value) -> Said:
    """A sentence of a kind."""
    return Said(kind, values)
