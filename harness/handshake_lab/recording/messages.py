"""What is said of a record, in English: sentences by kind, with the values that stand in them.

Findings, causes and objections are values, not text, until somebody reads them: a reader who
speaks another language says a kind in it, with the same values. See `handshake_lab.report.text.translations`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from handshake_lab.tcp.diagram.lookup import EDGES

#: What a verdict finds.
_FINDINGS = {
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
    "again_more_unseen": "{who}: and {count} more segments of data were sent again",
    "data": "{length} B of data",
    "segment": "{name}",
    "segment_data": "{name} with {length} B",
    "and_then": "{first} and then {second}",
    "lost": "it was lost",
    "damaged": "it was damaged on the way",
    "early": "its acknowledgment could not have come back yet",
    "unanswered": "{receiver} did not acknowledge it",
    "not_captured": "of something that was not captured",
    "ack_lost": "its acknowledgment, segment {number}, was lost",
    "acks_lost": "its acknowledgments, segments {numbers}, were lost",
    "ack_late": "its acknowledgment had not come back yet",
    "ack_refused": "{sender} did not take its acknowledgment for one",
    "deviates": "not as documented: {count} of {all} transitions deviate from RFC 9293",
    "unseen": "as documented, as far as it could be seen",
    "agrees": "as documented: all {all} transitions are edges of RFC 9293's diagram",
}

#: Why transitions happen.
_CAUSES = {
    "received": "received {what}",
    "received_unseen": "received {what}, which was not captured",
    "received_cookie": "received ACK with a valid SYN cookie",
    "received_before_fin": "received the data before a FIN that had come earlier",
    "received_after_close": "received data after close()",
    "icmp": "received an ICMP error",
    "listener_gone": "its listener had closed",
    "listener_closed": "its listener closed before accept()",
    "accept_queue_full": "the accept queue was full",
    "time_wait_full": "the table of TIME-WAIT was full",
    "retransmission_timer": "the retransmission timer",
    "retransmission_timer_orphans": "the retransmission timer, with too many orphans",
    "keepalive_timer": "the keepalive timer",
    "persist_timer": "the persist timer",
    "syn_ack_timer": "the SYN-ACK timer",
    "fin_wait_2_timer": "the FIN-WAIT-2 timer",
    "time_wait_timer": "the TIME-WAIT timer",
    "either_call": "{first} or {other}",
    "connect_failed": "connect() that failed",
    "connect_again": "connect() with the same addresses",
    "close_aborts": "close() that aborts",
    "close_orphans": "close() with too many orphans",
    "close_linger2": "close() with a negative TCP_LINGER2",
    "destroyed_by_another": "SOCK_DESTROY by another program",
    "destroyed_early": "SOCK_DESTROY: nothing else ends TIME-WAIT so early",
    "rst_unrecorded": "a RST was sent without a recorded call: the program ended, or SOCK_DESTROY",
    "nobody_saw_why": "nobody saw why",
}

#: What one witness says against another, or against the document; and what nobody could see.
_OBJECTIONS = {
    "besides": "{first}; {other}",
    "request_gone": "the request is gone, and nobody saw why: its connection is CLOSED, or back in LISTEN",
    "no_way": "no way leads here",
    "ways": "nobody saw how it came here: {ways}",
    "ways_more": "nobody saw how it came here: {ways} or {count} other ways",
    "or_way": "{first} or {other}",
    "showed": "{witness} showed {state} between {since} s and {until} s",
    "refused_perhaps": "no look showed it: the request may have been refused, its listener's queue being full",
    "off_segments": "read off its segments: no look at the sockets showed it",
    "off_segments_alone": "read off the segments alone: what the kernel did without one was not seen",
    "capture_leaky": "the capture missed segments of this connection: its states may be others",
    "end_unseen": "no look at the sockets showed what became of it, nor how long it lasted",
    "expiry_unseen": "no look at the sockets showed whether it has ended",
    "wire_goes_on": "by segment {number} at {time} s it should have become {state}, which no observer of the kernel "
    "showed",
    "timer_unwatched": "its timer was due at {time} s, and no look showed what became of it",
    "closed_unclear": "the tracepoint says CLOSED for TIME-WAIT and for an orphan's FIN-WAIT-2 too: nobody looked",
    "time_wait_unseen": "it follows from the segments: no look at the sockets showed TIME-WAIT itself",
    "one_segment_perhaps": "left at once: if one segment did both, this is FIN-WAIT-1→TIME-WAIT; no capture tells",
    "fin_never_sent": "reported {state}, but no FIN was ever sent",
    "fin_unsent": "reported {state}, but no FIN had been sent",
    "fin_unsent_close_wait": "reported {state}, but no FIN had been sent: by the document this is CLOSE-WAIT",
    "sockets_unseen": "nobody looked at the sockets: requests, TIME-WAIT and an orphan's FIN-WAIT-2 show in segments "
    "at most",
    "missed": "the {observer} lost {count} of its reports or more",
    "missed_on": "{node}: the {observer} lost {count} of its reports or more",
    "anybodys": "the tracepoint told of a socket {local} → {remote}, which may be any host's: left out",
    "another_worlds": "the tracepoint told of sockets that nobody else saw ({count}; the first: {local} → {remote}): "
    "of other worlds on this kernel, and left out",
    "left_over": "the tracepoint told of sockets that nobody else saw ({count}; the first: {local} → {remote}): left "
    "over from before this run, and left out",
    "capture_alone": "{node}: the capture shows a connection {local} → {remote} that no look at the sockets and no "
    "tracepoint told of: its states are read off its segments",
    "unreal_reset": "{node}: the kernel reported tcp_receive_reset on {local} → {remote} at {time} s, but no RST "
    "arrived: it reset itself on data that came after close()",
}

#: English sentences by kind. ``{name}`` stands for a value. What happens on the edges that Linux
#: adds to the diagram has the kind ``edge.`` and the edge's id.
SENTENCES = {
    **_FINDINGS,
    **_CAUSES,
    **_OBJECTIONS,
    **{f"edge.{edge.id}": edge.event for edge in EDGES if edge.source == "Linux" and edge.moves},
}

Value: TypeAlias = "str | int | Message"


class Message(msgspec.Struct, frozen=True):
    """A sentence or a part of one: its kind, and its values, which may be parts themselves.

    ``str()`` says it in English.
    """

    kind: str
    values: dict[str, Value] = {}

    def __str__(self) -> str:
        return SENTENCES[self.kind].format(**self.values)


def sentence(kind: str, **values: Value) -> Message:
    """A sentence of a kind."""
    return Message(kind, values)
