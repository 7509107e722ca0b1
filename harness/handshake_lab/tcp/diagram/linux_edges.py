"""Edges 21 to 45, which are not in Figure 5: those of its notes, of the RFC's text, and of Linux."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from handshake_lab.tcp.diagram.edge import SHORT, Edge, Trigger
from handshake_lab.tcp.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable

_Source = Literal["a note to figure 5", "the text", "Linux"]
_TP = "this change, as it happens"

ES, F1, F2, CW = State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT
CG, LA, TW, CL = State.CLOSING, State.LAST_ACK, State.TIME_WAIT, State.CLOSED
LI, SS, SR = State.LISTEN, State.SYN_SENT, State.SYN_RECEIVED


def _one(
    id_: str,
    old: State,
    new: State,
    why: Trigger,
    event: str,
    action: str,
    section: str,
    source: _Source,
    linux: str,
    *,
    absent: str = "",
    gate: str = "",
    tracepoint: str = "",
    diag: str = "",
    capture: str = "",
) -> Edge:
    return Edge(
        id=id_,
        old=old,
        new=new,
        why=why,
        event=event,
        action=action,
        section=section,
        source=source,
        linux=linux,
        absent=absent,
        gate=gate,
        tracepoint=tracepoint,
        diag=diag,
        capture=capture,
    )


def _from_each(
    number: int,
    states: Iterable[State],
    why: Trigger,
    event: str,
    action: str,
    section: str,
    source: _Source,
    linux: str,
    *,
    capture: str = "",
    tracepoint: str = _TP,
    gate: str = "",
) -> tuple[Edge, ...]:
    """The same edge from several states to CLOSED. Mini-sockets and requests have no tracepoint."""
    return tuple(
        _one(
            f"{number}.{SHORT[old]}", old, CL, why, event, action, section, source, linux,
            gate=gate, tracepoint="" if old is TW else tracepoint, diag="gone", capture=capture,
        )
        for old in states
    )  # fmt: skip


BEYOND: tuple[Edge, ...] = (
    _one(
        "21", F1, TW, Trigger.SEGMENT, "rcv FIN with the ACK of FIN", "send ACK", "3.3.2, note 2", "a note to figure 5",
        "two steps within one segment: tcp_rcv_state_process() and tcp_fin(), net/ipv4/tcp_input.c",
        tracepoint="FIN-WAIT-1→FIN-WAIT-2→CLOSED at once", diag="TIME-WAIT", capture="FIN-ACK in",
    ),
    _one(
        "22", SR, TW, Trigger.RESET, "send RST", "", "3.3.2, note 3", "a note to figure 5",
        "",
        absent="Linux enters CLOSED whenever it sends a RST, because there is nothing to wait for",
    ),
    _one(
        "23", SR, LI, Trigger.NEW_SYN, "rcv a SYN in the window (after a passive OPEN)", "send RST, drop the request",
        "3.10.7.4 (erratum 8710)", "the text", "embryonic_reset in tcp_check_req(), net/ipv4/tcp_minisocks.c",
        diag="gone", capture="SYN in, RST-ACK out",
    ),
    _one(
        "24", SR, SR, Trigger.RESET, "rcv a RST in the window but not exact", "send a challenge ACK", "3.10.7.4",
        "the text", "tcp_check_req(), net/ipv4/tcp_minisocks.c",
        gate="6.1.192, 6.12.117 and 7.3 do so; earlier releases dropped the request for any RST in the window",
        diag="SYN-RECEIVED stays", capture="RST in, ACK out",
    ),
    _one(
        "25", SS, CL, Trigger.RESET, "rcv RST that acknowledges our SYN", "connection refused", "3.10.7.3", "the text",
        "tcp_rcv_synsent_state_process() and tcp_reset(), net/ipv4/tcp_input.c",
        tracepoint=_TP, diag="gone", capture="RST-ACK in",
    ),
    _one(
        "25a", SS, SS, Trigger.RESET, "rcv RST without ACK", "drop it", "3.10.7.3", "the text",
        "tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c", diag="SYN-SENT stays", capture="RST in",
    ),
    _one(
        "25b", SS, SS, Trigger.SEGMENT, "rcv an ACK of what was not sent", "send RST", "3.10.7.3", "the text",
        "tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c",
        diag="SYN-SENT stays", capture="ACK in, RST out",
    ),
    *_from_each(
        26, (SR, ES, F1, F2, CW, CG, LA), Trigger.RESET, "rcv RST with exactly the next sequence number",
        "drop the connection",
        "3.10.7.4; RFC 5961, 3.2", "the text",
        "tcp_validate_incoming() and tcp_reset(), net/ipv4/tcp_input.c; an orphan's mini-socket: "
        "tcp_timewait_state_process()", capture="RST in",
    ),
    *(
        _one(
            f"26a.{SHORT[old]}", old, old, Trigger.RESET, "rcv a RST in the window but not exact, or a SYN",
            "send a challenge ACK", "3.10.7.4; RFC 5961, 3.2 and 4.2", "the text",
            "tcp_validate_incoming() and tcp_send_challenge_ack(), net/ipv4/tcp_input.c",
            diag="the state stays", capture="RST or SYN in, ACK out",
        )
        for old in (ES, F1, F2, CW, CG, LA)
    ),
    *_from_each(
        27, (SR, ES, F1, F2, CW, CG, LA), Trigger.ABORT, "ABORT", "send RST", "3.10.5; RFC 2525, 2.17", "the text",
        "close() with SO_LINGER 0, with data unread, or with a negative TCP_LINGER2: __tcp_close(), net/ipv4/tcp.c",
        capture="RST-ACK out; in CLOSING and LAST-ACK for data unread or a FIN not yet sent only",
        tracepoint="this change, before the RST leaves",
    ),
    _one(
        "28", SR, CW, Trigger.SEGMENT, "rcv FIN", "send ACK", "3.10.7.4", "the text",
        "the ACK that comes with the FIN is taken first: tcp_rcv_state_process(), net/ipv4/tcp_input.c",
        absent="shown as SYN-RECEIVED→ESTABLISHED→CLOSE-WAIT, edges 10 and 13",
    ),
    *_from_each(
        29, (SS, SR, ES, F1, F2, CW, CG, LA), Trigger.TIMER, "USER TIMEOUT, retransmission limit or keepalive",
        "drop the connection", "3.8.3, 3.8.4, 3.10.8; RFC 5482", "the text",
        "tcp_write_timeout(), tcp_probe_timer() and tcp_keepalive_timer(), net/ipv4/tcp_timer.c",
        capture="a RST out for a silent peer (keepalive), else no answer to the last retransmission",
    ),
    _one(
        "30", SR, CL, Trigger.EXPIRED, "the SYN-ACK was never acknowledged", "drop the request", "3.8.3", "the text",
        "reqsk_timer_handler(), net/ipv4/inet_connection_sock.c",
        diag="gone", capture="the last SYN-ACK, unanswered",
    ),
    _one(
        "31", F2, CL, Trigger.EXPIRED, "an orphan waited tcp_fin_timeout for the FIN", "delete TCB", "3.6", "Linux",
        "a mini-socket in FIN-WAIT-2: tcp_time_wait(), net/ipv4/tcp_minisocks.c; above 60 s the keepalive timer first",
        tracepoint="FIN-WAIT-2→CLOSED when the mini-socket begins, not when it ends", diag="gone; before that "
        "FIN-WAIT-2 with timer timewait",
    ),
    _one(
        "32", F2, F2, Trigger.CALL,
        "shutdown(SHUT_WR) by a program that keeps the socket", "wait for the FIN indefinitely",
        "3.6.1", "the text", "no timer: tcp_rcv_state_process(), net/ipv4/tcp_input.c",
        diag="FIN-WAIT-2 without a timer",
    ),
    _one(
        "33", TW, TW, Trigger.SEGMENT, "rcv FIN again", "send ACK, restart the 2 MSL timer", "3.10.7.4", "the text",
        "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c", diag="TIME-WAIT, its timer restarted",
        capture="FIN in, ACK out",
    ),
    _one(
        "34", TW, CL, Trigger.RESET, "rcv RST", "delete TCB", "3.10.7.4; RFC 1337", "the text",
        "tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c, unless net.ipv4.tcp_rfc1337 is set",
        diag="gone", capture="RST in",
    ),
    _one(
        "35", TW, CL, Trigger.NEW_SYN, "rcv a new SYN", "open a new connection", "3.6.1; RFC 6191", "the text",
        "the listener takes the SYN: tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c, and tcp_v4_rcv()",
        diag="TIME-WAIT gone, a request there", capture="SYN in, SYN-ACK out",
    ),
    _one(
        "36", TW, CL, Trigger.REUSE, "active OPEN with the same four-tuple", "send SYN", "3.6.1; RFC 6191", "Linux",
        "tcp_twsk_unique(), net/ipv4/tcp_ipv4.c; net.ipv4.tcp_tw_reuse, by default for loopback only",
        gate="the delay before reuse can be set from 6.14 on (tcp_tw_reuse_delay)",
        diag="TIME-WAIT gone, SYN-SENT there",
        capture="SYN out",
    ),
    *_from_each(
        37, (F2, CG), Trigger.OVERFLOW, "the table of TIME-WAIT is full", "no TIME-WAIT", "none", "Linux",
        "inet_twsk_alloc(), net/ipv4/inet_timewait_sock.c; net.ipv4.tcp_max_tw_buckets", capture="FIN or its ACK in",
    ),
    *_from_each(
        38, (F1, F2), Trigger.DATA, "rcv data after close()", "send RST", "3.6.1", "the text",
        "tcp_rcv_state_process(), net/ipv4/tcp_input.c; an orphan's mini-socket: tcp_timewait_state_process()",
        capture="data in, RST out", tracepoint="FIN-WAIT-1→CLOSED, with a tcp_receive_reset though none came; nothing "
        "for a mini-socket",
    ),
    *_from_each(
        39, (ES, CW), Trigger.LISTENER, "the listener was closed before accept()", "send RST", "none", "Linux",
        "inet_csk_listen_stop(), net/ipv4/inet_connection_sock.c, and tcp_disconnect() of each that waits",
        capture="RST-ACK out",
    ),
    _one(
        "39.SR", SR, CL, Trigger.LISTENER, "the listener was closed", "drop the request at its next segment or timer",
        "none", "Linux", "reqsk_timer_handler() and tcp_v4_rcv(), net/ipv4", diag="gone",
        capture="a segment in, RST out",
    ),
    _one(
        "40", SR, CL, Trigger.OVERFLOW, "rcv ACK while the accept queue is full", "send RST", "none",
        "Linux", "listen_overflow in tcp_check_req(), net/ipv4/tcp_minisocks.c, with net.ipv4.tcp_abort_on_overflow",
        diag="gone", capture="ACK in, RST out",
    ),
    _one(
        "40a", SR, SR, Trigger.OVERFLOW, "rcv ACK while the accept queue is full", "drop it", "none", "Linux",
        "listen_overflow in tcp_check_req(), net/ipv4/tcp_minisocks.c",
        diag="SYN-RECEIVED stays", capture="ACK in, the SYN-ACK again",
    ),
    _one(
        "40b", LI, LI, Trigger.OVERFLOW, "rcv SYN while the accept queue is full", "drop it", "none", "Linux",
        "tcp_conn_request(), net/ipv4/tcp_input.c", diag="LISTEN stays", capture="SYN in, no answer",
    ),
    _one(
        "41", LI, SR, Trigger.NEW_SYN, "rcv ACK that carries a valid SYN cookie", "", "none; RFC 4987, 3.6", "Linux",
        "no request is kept: cookie_v4_check(), net/ipv4/syncookies.c; net.ipv4.tcp_syncookies",
        tracepoint="the child's LISTEN→SYN-RECEIVED→ESTABLISHED at the ACK", capture="ACK in",
    ),
    _one(
        "41a", SR, SR, Trigger.SEGMENT, "rcv ACK without data, with TCP_DEFER_ACCEPT", "drop it", "none", "Linux",
        "tcp_check_req(), net/ipv4/tcp_minisocks.c", diag="SYN-RECEIVED stays", capture="ACK in",
    ),
    _one(
        "41b", LI, SR, Trigger.DATA, "rcv SYN with a valid Fast Open cookie", "send SYN, ACK; take its data",
        "none; RFC 7413", "Linux", "a full socket at once: tcp_try_fastopen(), net/ipv4/tcp_fastopen.c",
        tracepoint="LISTEN→SYN-RECEIVED at the SYN", diag="SYN-RECEIVED", capture="SYN with data in, SYN-ACK out",
    ),
    *_from_each(
        42, (LI, SS, SR, ES, F1, F2, CW, CG, LA, TW), Trigger.DESTROYED, "SOCK_DESTROY (ss -K)",
        "send RST where synchronized", "none", "Linux", "tcp_abort(), net/ipv4/tcp.c",
        capture="RST-ACK out, but for LISTEN, SYN-SENT, CLOSING, LAST-ACK, TIME-WAIT and a request",
        gate="a listener shows CLOSED→CLOSED after, on 6.1 and 7.3 alike: tcp_done() sets it once more",
    ),
    *_from_each(
        43, (F1, F2, CG, LA), Trigger.ORPHANS, "too many orphans, or no memory for them", "send RST", "none", "Linux",
        "tcp_check_oom() in __tcp_close() and tcp_out_of_resources(); net.ipv4.tcp_max_orphans is counted over all "
        "namespaces; in FIN-WAIT-2 with tcp_fin_timeout above 60 s only: else a mini-socket waits, which is no orphan",
        capture="RST-ACK out",
    ),
    *_from_each(
        44, (SS, SR), Trigger.ICMP, "a hard ICMP error", "drop the connection", "3.9.2.2", "the text",
        "tcp_v4_err(), net/ipv4/tcp_ipv4.c; for a request tcp_req_err()",
    ),
    _one(
        "45", F2, CL, Trigger.NEW_SYN, "an orphan rcv a SYN in the window", "send RST, delete TCB", "none", "Linux",
        "a mini-socket in FIN-WAIT-2: tcp_timewait_state_process(), net/ipv4/tcp_minisocks.c", diag="gone",
        capture="SYN in, RST out",
    ),
)  # fmt: skip
