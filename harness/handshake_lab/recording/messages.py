"""Sentences about a run, as values: findings, causes and objections, by code, with the values that stand in them.

A code is stable and part of the JSON documents (docs/reference/json.md); the English sentence beside it may be
reworded.
`handshake_lab.report.text.translations` has the sentences in other languages.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from handshake_lab.tcp.diagram.lookup import EDGES

#: The code of a cause that is a system call, which has no sentence: its text is the call as the program made it.
CALL = "call"

#: Summaries of a verdict.
SUMMARIES = {
    "agrees": "as documented: all {all} transitions are edges of RFC 9293's diagram",
    "agrees_with_linux": (
        "as documented: {all} transitions, of which {count} only Linux has; the others are edges of RFC 9293's diagram"
    ),
    "partly_unobserved": "as documented, as far as it was observed",
    "causes_unknown": "not explained: the cause of {count} of {all} transitions is unknown",
    "nothing_observed": "no TCP was observed: there is nothing to compare with RFC 9293",
    "deviates": "not as documented: {count} of {all} transitions deviate from RFC 9293",
}

#: Findings of a verdict.
FINDINGS = {
    "documented": "{who}: {way}",
    "recorded_late": "{who}: its first states were not recorded",
    "states_skipped": "{who}: was in {state}, but the next transition starts in {old}",
    "unfinished": "{who}: {why} ({seconds} s in {state} when the recording ended)",
    "gap": "{who}: {step} at {time} s: not compared with the diagram: {objection}",
    "cause_unknown": "{who}: {step} at {time} s: the cause is unknown: {cause}",
    "no_edge": "{who}: {step} at {time} s: not an edge of the diagram",
    "linux_edge": "{who}: {step} at {time} s: edge {edge}, which only Linux has: {event}",
    "no_effect": "{who}: {name} #{number} at {time} s had no effect: {why}",
    "datagrams": "UDP datagrams: {count}, lost: {lost}; UDP has no states to compare",
    "answered_only": "{who}: {name} #{number} at {time} s: {why}",
    "half_open": "{who}: is ESTABLISHED, but its peer {peer} has been {state} since {time} s",
    "half_open_never": "{who}: is ESTABLISHED, but its peer {peer} has no socket for the connection",
    "fin_queued": "{who}: {step} at {time} s: no FIN was sent in this state, which RFC 9293 enters when the FIN is "
    "queued (3.10.4)",
    "fin_queued_last_ack": "{who}: {step} at {time} s: no FIN was sent in this state, which RFC 9293 enters when the "
    "FIN is sent (3.10.4), and Linux when it is queued",
    "record_cut": "the recording stopped before the run ended",
    "retransmitted": "{who}: {what} retransmitted after {waits} s because {why}",
    "retransmitted_in_parts": "{who}: {what} retransmitted in {parts} parts after {waits} s because {why}",
    "retransmitted_times": "{who}: {what} retransmitted {count} times after {waits} s because {why}",
    "retransmitted_more": "{who}: {count} more data segments retransmitted, {lost} of them because they were lost",
    "retransmitted_more_uncaptured": "{who}: {count} more data segments retransmitted",
}

#: Causes of transitions.
CAUSES = {
    "received": "received {what}",
    "received_uncaptured": "received {what}, which was not captured",
    "received_cookie": "received ACK with a valid SYN cookie",
    "received_missing_data": "received the missing data before a FIN that had arrived earlier",
    "received_after_close": "received data after close()",
    "icmp_error": "received an ICMP error",
    "listener_gone": "its listener was closed",
    "listener_closed": "its listener was closed before accept()",
    "accept_queue_full": "the accept queue was full",
    "time_wait_table_full": "the TIME-WAIT table was full",
    "retransmission_timer": "the retransmission timer",
    "retransmission_timer_orphans": "the retransmission timer, with too many orphans",
    "keepalive_timer": "the keepalive timer",
    "persist_timer": "the persist timer",
    "syn_ack_timer": "the SYN-ACK timer",
    "fin_wait_2_timer": "the FIN-WAIT-2 timer",
    "time_wait_timer": "the TIME-WAIT timer",
    "either_call": "{first} or {other}",
    "connect_failed": "connect() that failed",
    "connect_same_addresses": "connect() with the same addresses and ports",
    "close_aborts": "close() that aborts",
    "close_orphans": "close() with too many orphans",
    "close_linger2": "close() with a negative TCP_LINGER2",
    "destroyed_by_another": "SOCK_DESTROY by another program",
    "rst_unrecorded": "a RST was sent without a recorded call: the program ended, or SOCK_DESTROY",
    "cause_unobserved": "not observed",
}

#: Objections: where observers contradict each other, and what none of them observed.
OBJECTIONS = {
    "several": "{first}; {other}",
    "request_disappeared": "the request disappeared for an unobserved reason: its connection is CLOSED, or LISTEN "
    "again",
    "no_path": "no path of transitions leads to this state",
    "path_unobserved": "the transitions to this state were not observed: {ways}",
    "path_unobserved_more": "the transitions to this state were not observed: {ways} or {count} other paths",
    "other_state_reported": "{witness} reported {state} between {since} s and {until} s",
    "request_perhaps_refused": "in no poll of the sockets: the request may have been refused because the queue of "
    "its listener was full",
    "derived_from_segments": "derived from its segments: in no poll of the sockets",
    "derived_from_segments_alone": "derived from the segments alone: what the kernel did without a segment was not "
    "observed",
    "capture_incomplete": "the capture missed segments of this connection: its states may differ",
    "end_unobserved": "in no later poll of the sockets: its next state and its duration were not observed",
    "expiry_unobserved": "in no later poll of the sockets: whether it ended was not observed",
    "segments_contradict_state": "segment {number} at {time} s leads to {state}, unless its host discarded it; no "
    "observer of the kernel reported {state}",
    "timer_unobserved": "its timer was due at {time} s, and no later poll of the sockets was made",
    "closed_ambiguous": "the tracepoint also reports CLOSED for TIME-WAIT and for FIN-WAIT-2 of an orphan, and no "
    "poll distinguishes them",
    "time_wait_unobserved": "derived from the segments: TIME-WAIT itself is in no poll of the sockets",
    "perhaps_one_segment": "left immediately: if one segment caused both transitions, this is FIN-WAIT-1→TIME-WAIT; "
    "there is no capture",
    "sockets_not_polled": "the sockets were not polled: requests, TIME-WAIT and FIN-WAIT-2 of orphans can only be "
    "derived from segments",
    "preempted": "this run does not repeat: {program} computed for seconds without a system call, and was interrupted",
    "preempted_on": "this run does not repeat: {program} on {node} computed for seconds without a system call, and was "
    "interrupted",
    "random_instruction": "this run may not repeat: {program} contains instructions that draw random numbers from the "
    "processor (RDRAND, RDSEED)",
    "random_instruction_on": "this run may not repeat: {program} on {node} contains instructions that draw random "
    "numbers from the processor (RDRAND, RDSEED)",
    "missed": "{observer} lost reports (at least {count})",
    "missed_on": "{node}: {observer} lost reports (at least {count})",
    "socket_of_unknown_host": "the tracepoint reported a socket {local} → {remote} that cannot be assigned to a "
    "host: ignored",
    "sockets_of_other_runs": "the tracepoint reported sockets that nothing else observed ({count}; the first: "
    "{local} → {remote}): of other runs on this kernel, ignored",
    "sockets_of_earlier_runs": "the tracepoint reported sockets that nothing else observed ({count}; the first: "
    "{local} → {remote}): of an earlier run, ignored",
    "connection_only_captured": "{node}: connection {local} → {remote} is in the capture, but in no poll of the "
    "sockets and in no report of the tracepoint: its states are derived from its segments",
    "reset_not_received": "{node}: the kernel reported tcp_receive_reset on {local} → {remote} at {time} s, but no "
    "RST arrived: the kernel reset the connection itself, because data arrived after close()",
}

#: Why the kernel of the receiver discarded a segment.
IGNORED = {
    "ignored_paws": "its timestamp is older than the last one (PAWS, RFC 7323)",
    "ignored_sequence": "its sequence numbers are outside of the window",
    "ignored_window": "it exceeds the advertised window",
    "ignored_ack": "it acknowledges data that is not in flight",
    "ignored_accept_queue": "the accept queue was full",
    "ignored_request_queue": "the request queue was full, and SYN cookies are off (tcp_syncookies)",
    "ignored_listener": "the listener dropped it; the kernel's counter (ListenDrops) does not show why",
    "ignored_icmp": "the segment that it quotes is not in flight",
    "ignored_icmp_locked": "a program was using the socket, so that the error did not end the connection",
    "cookie_sent": "it was answered with a SYN cookie: no request is kept",
    "cookie_failed": "it contains no valid SYN cookie",
    "challenged": "it was answered with a challenge ACK (RFC 5961)",
    "challenge_limited": "a challenge ACK was due, but the last answer of that kind was sent less than "
    "tcp_invalid_ratelimit ago",
    "answer_limited": "an answer was due, but the last one was sent less than tcp_invalid_ratelimit ago",
    "ignored_buffer": "the receive buffer was full",
    "ignored_flags": "its flags are invalid in this state",
    "ignored_no_connection": "there was no connection for it, only the listener",
    "ignored_syn": "a SYN is invalid in this state",
    "ignored_signature": "its signature is missing or wrong (TCP-MD5, TCP-AO)",
    "ignored_ttl": "its TTL is below the minimum (IP_MINTTL)",
    "ignored_reset": "a RST without ACK does not end SYN-SENT",
    "ignored_deferred": "with TCP_DEFER_ACCEPT, an ACK without data does not complete the handshake",
}

#: A run in short.
OUTLINES = {
    "outline_opened": "{client} connected to {server} in {time}.",
    "outline_opened_at_once": "{client} and {server} opened the connection at the same time.",
    "outline_syn_lost": "{client}'s first SYN was lost; sent again after {time}, it opened the connection to {server}.",
    "outline_opened_late": "{client} and {server} were connected after {time}; lost in the handshake: {lost}.",
    "outline_half_opened": "{client} was connected, but {server} never became ESTABLISHED.",
    "outline_connecting": "{client} was still connecting to {server} when the recording ended.",
    "outline_refused": "{server} refused the connection from {client} to port {port} with a RST.",
    "outline_refused_between": "{client} could not connect to {server}: a RST came, which {server} had not sent.",
    "outline_icmp": "{client} could not connect to {server}: {node} sent {name}.",
    "outline_no_answer": "{client} sent {count} SYNs to {server} and gave up after {time}; lost: {lost}.",
    "outline_one_syn": "{client} sent one SYN to {server} and gave up after {time}; lost: {lost}.",
    "outline_syns_lost": "{client} sent {count} SYNs to {server}, all of which were lost, and gave up after {time}.",
    "outline_closed_early": "{client} closed the socket after {time}, before it was connected to {server}.",
    "outline_data": "{sent}.",
    "outline_data_lost": "{sent}; lost: {lost} of {all} segments with data.",
    "outline_reset": "{who} reset the connection.",
    "outline_reset_by_call": "{who} reset the connection: its {call} sent a RST.",
    "outline_reset_between": "A RST that the other side had not sent ended {who}'s connection.",
    "outline_silent": "{who} gave up the connection after {time} without a segment from {other} ({why}).",
    "outline_timed_out": "{who} gave up the connection ({why}).",
    "outline_both_closed": "Both sides closed at the same time.",
    "outline_closed_first": "{who} closed first.",
    "outline_closed_first_waited": "{who} closed first and waited {time} in TIME-WAIT.",
    "outline_closed_first_waits": "{who} closed first and was still in TIME-WAIT when the recording ended.",
    "outline_fin_lost": "{who}'s FIN was lost.",
    "outline_fins_lost": "{who}'s FIN was lost {count} times.",
    "outline_never_closed": "{who} did not close: it was in CLOSE-WAIT for {time}, until the recording ended.",
    "outline_still_open": "The connection was open until the recording ended.",
    "outline_datagrams": "UDP datagrams: {count}, lost: {lost}.",
    "outline_many": "{what}.",
}

#: Parts of other sentences, which no document has alone.
_PARTS = {
    "unfinished_syn": "was still waiting for a response to its SYN",
    "unfinished_handshake": "was still waiting for the last ACK of the handshake",
    "unfinished_fin": "was still waiting for its FIN to be acknowledged",
    "unfinished_unsent": "had not sent its FIN yet",
    "unfinished_peer": "was still waiting for the FIN of the other side",
    "unfinished_program": "did not leave CLOSE-WAIT: its program did not close the socket",
    "data": "{length} B of data",
    "segment": "{name}",
    "segment_data": "{name} with {length} B",
    "and_then": "{first} and then {second}",
    "lost": "it was lost",
    "too_big_for": "it was larger than the MTU of {node}'s next link",
    "too_big": "it was larger than the MTU of {node}'s next link, {mtu} B",
    "not_forwarded": "{node} did not forward it",
    "queue_full": "the queue of {interface} was full",
    "damaged": "it was damaged in transit",
    "early": "it was still on its way",
    "without_effect": "it had no effect: {why}",
    "unanswered": "{receiver} did not acknowledge it",
    "not_captured": "of something that was not captured",
    "ack_lost": "its acknowledgment, segment {number}, was lost",
    "acks_lost": "its acknowledgments, segments {numbers}, were lost",
    "ack_late": "its acknowledgment had not arrived yet",
    "ack_refused": "{sender} did not accept its acknowledgment",
    "or_path": "{first} or {other}",
    "time_s": "{number} s",
    "time_ms": "{number} ms",
    "time_us": "{number} µs",
    "time_ns": "{number} ns",
    "outline_sent": "{who} sent {octets} B",
    "outline_list": "{first}, {other}",
    "outline_syns": "{count} SYN",
    "outline_syn_acks": "{count} SYN-ACK",
    "outline_acks": "{count} ACK",
    "outline_count": "{count} connections",
    "outline_count_between": "{count} connections from {client} to {server}",
    "outline_count_closed": "{count} closed",
    "outline_count_refused": "{count} refused with a RST",
    "outline_count_reset": "{count} reset",
    "outline_count_open": "{count} open until the recording ended",
    "outline_count_unclosed": "{count} closed by one side only",
    "outline_count_lost_one": "{count} segment lost",
    "outline_count_lost": "{count} segments lost",
}

#: English sentences by code. ``{name}`` is replaced by a value. The event of an edge that only Linux has is a part with
#: the code ``edge.`` and the edge's id.
SENTENCES = {
    **SUMMARIES,
    **FINDINGS,
    **CAUSES,
    **OBJECTIONS,
    **IGNORED,
    **OUTLINES,
    **_PARTS,
    **{f"edge.{edge.id}": edge.event for edge in EDGES if edge.source == "Linux" and edge.moves},
}

Value: TypeAlias = "str | int | Message"


class Message(msgspec.Struct, frozen=True):
    """A sentence or a part of one: its code, and its values, which may be parts themselves.

    ``str()`` gives the English text.
    """

    code: str
    values: dict[str, Value] = {}

    def __str__(self) -> str:
        return SENTENCES[self.code].format(**self.values)


def sentence(code: str, **values: Value) -> Message:
    """The sentence with a code."""
    return Message(code, values)
