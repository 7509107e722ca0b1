"""Figure 5 of RFC 9293 (section 3.3.2): edges 1 to 20, and how Linux implements them."""

from __future__ import annotations

from handshake_lab.tcp.diagram.edge import Edge, Trigger
from handshake_lab.tcp.states import State

_TP = "this change, as it happens"
_TW_TIMER = "tcp_time_wait() and tw_timer_handler(), net/ipv4/tcp_minisocks.c and inet_timewait_sock.c"


def _edge(
    id_: str,
    old: State,
    new: State,
    why: Trigger,
    event: str,
    action: str,
    section: str,
    linux: str,
    *,
    absent: str = "",
    gate: str = "",
    tracepoint: str = _TP,
    diag: str = "the new state",
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
        source="figure 5",
        linux=linux,
        absent=absent,
        gate=gate,
        tracepoint=tracepoint,
        diag=diag,
        capture=capture,
    )


FIGURE_5: tuple[Edge, ...] = (
    _edge(
        "1", State.CLOSED, State.LISTEN, Trigger.CALL, "passive OPEN", "create TCB", "3.10.1",
        "listen(): inet_csk_listen_start(), net/ipv4/inet_connection_sock.c",
    ),
    _edge(
        "2", State.CLOSED, State.SYN_SENT, Trigger.CALL, "active OPEN", "create TCB, send SYN", "3.10.1",
        "connect(): tcp_v4_connect(), net/ipv4/tcp_ipv4.c",
        tracepoint="CLOSED→SYN-SENT, with local port 0 unless it was bound before", capture="the SYN",
    ),
    _edge(
        "3", State.LISTEN, State.CLOSED, Trigger.CALL, "CLOSE", "delete TCB", "3.10.4",
        "close(): __tcp_close(), net/ipv4/tcp.c", diag="gone",
    ),
    _edge(
        "4", State.LISTEN, State.SYN_RECEIVED, Trigger.SEGMENT, "rcv SYN", "send SYN, ACK", "3.10.7.2",
        "a request socket, not yet a connection: tcp_conn_request(), net/ipv4/tcp_input.c",
        gate="before 6.15 the tracepoint shows the child with its listener's address and remote port 0",
        tracepoint="nothing until the ACK: then the child's LISTEN→SYN-RECEIVED→ESTABLISHED at once",
        diag="SYN-RECEIVED with inode 0", capture="SYN in, SYN-ACK out",
    ),
    _edge(
        "5", State.LISTEN, State.SYN_SENT, Trigger.CALL, "SEND", "send SYN", "3.10.2",
        "connect() on a listener: __inet_stream_connect(), net/ipv4/af_inet.c",
        absent="connect() fails with EISCONN; connect(AF_UNSPEC) first closes the listener",
        tracepoint="", diag="",
    ),
    _edge(
        "6", State.SYN_SENT, State.SYN_RECEIVED, Trigger.SEGMENT, "rcv SYN", "send SYN, ACK", "3.10.7.3",
        "simultaneous open; a full socket: tcp_rcv_synsent_state_process(), net/ipv4/tcp_input.c",
        capture="SYN in, SYN-ACK out",
    ),
    _edge(
        "7", State.SYN_SENT, State.ESTABLISHED, Trigger.SEGMENT, "rcv SYN, ACK", "send ACK", "3.10.7.3",
        "tcp_finish_connect(), net/ipv4/tcp_input.c", capture="SYN-ACK in, ACK out",
    ),
    _edge(
        "8", State.SYN_SENT, State.CLOSED, Trigger.CALL, "CLOSE", "delete TCB", "3.10.4",
        "close() and shutdown(), without a RST: tcp_close_state(), net/ipv4/tcp.c; inet_shutdown(), net/ipv4/af_inet.c",
        diag="gone",
    ),
    _edge(
        "9", State.SYN_RECEIVED, State.LISTEN, Trigger.RESET, "rcv RST (after a passive OPEN)", "drop the request",
        "3.10.7.4", "tcp_check_req(), net/ipv4/tcp_minisocks.c", tracepoint="", diag="gone", capture="RST in",
    ),
    _edge(
        "10", State.SYN_RECEIVED, State.ESTABLISHED, Trigger.SEGMENT, "rcv ACK of SYN", "", "3.10.7.4",
        "tcp_rcv_state_process(), net/ipv4/tcp_input.c", capture="ACK in, or data that carries it",
    ),
    _edge(
        "11", State.SYN_RECEIVED, State.FIN_WAIT_1, Trigger.CALL, "CLOSE", "send FIN", "3.10.4",
        "tcp_close_state(), net/ipv4/tcp.c; full sockets only (simultaneous or Fast Open)",
        gate="shutdown(), unlike close(), waits for ESTABLISHED (tcp_rcv_state_process())", capture="FIN out",
    ),
    _edge(
        "12", State.ESTABLISHED, State.FIN_WAIT_1, Trigger.CALL, "CLOSE", "send FIN", "3.10.4",
        "close() or shutdown(SHUT_WR): tcp_close_state(), net/ipv4/tcp.c",
        tracepoint="ESTABLISHED→FIN-WAIT-1, before the FIN leaves, if it leaves at all", capture="FIN out",
    ),
    _edge(
        "13", State.ESTABLISHED, State.CLOSE_WAIT, Trigger.SEGMENT, "rcv FIN", "send ACK", "3.10.7.4",
        "tcp_fin(), net/ipv4/tcp_input.c", capture="FIN in",
    ),
    _edge(
        "14", State.FIN_WAIT_1, State.FIN_WAIT_2, Trigger.SEGMENT, "rcv ACK of FIN", "", "3.10.7.4",
        "tcp_rcv_state_process(), net/ipv4/tcp_input.c", capture="ACK in",
    ),
    _edge(
        "15", State.FIN_WAIT_1, State.CLOSING, Trigger.SEGMENT, "rcv FIN", "send ACK", "3.10.7.4",
        "simultaneous close: tcp_fin(), net/ipv4/tcp_input.c", capture="FIN in that does not acknowledge ours",
    ),
    _edge(
        "16", State.CLOSE_WAIT, State.LAST_ACK, Trigger.CALL, "CLOSE", "send FIN", "3.10.4",
        "close() or shutdown(SHUT_WR): tcp_close_state(), net/ipv4/tcp.c", capture="FIN out",
    ),
    _edge(
        "17", State.FIN_WAIT_2, State.TIME_WAIT, Trigger.SEGMENT, "rcv FIN", "send ACK", "3.10.7.4",
        "a mini-socket takes over: tcp_fin() and tcp_time_wait(); an orphan's: tcp_timewait_state_process(), "
        "net/ipv4/tcp_minisocks.c",
        tracepoint="FIN-WAIT-2→CLOSED; nothing for an orphan's mini-socket", diag="TIME-WAIT", capture="FIN in",
    ),
    _edge(
        "18", State.CLOSING, State.TIME_WAIT, Trigger.SEGMENT, "rcv ACK of FIN", "", "3.10.7.4",
        "tcp_rcv_state_process() and tcp_time_wait(), net/ipv4/tcp_input.c and tcp_minisocks.c",
        tracepoint="CLOSING→CLOSED", diag="TIME-WAIT", capture="ACK in",
    ),
    _edge(
        "19", State.LAST_ACK, State.CLOSED, Trigger.SEGMENT, "rcv ACK of FIN", "delete TCB", "3.10.7.4",
        "tcp_rcv_state_process(), net/ipv4/tcp_input.c", diag="gone", capture="ACK in",
    ),
    _edge(
        "20", State.TIME_WAIT, State.CLOSED, Trigger.TIMER, "timeout = 2 MSL", "delete TCB", "3.10.8",
        f"60 s, fixed (TCP_TIMEWAIT_LEN): {_TW_TIMER}", tracepoint="", diag="gone",
    ),
)  # fmt: skip
