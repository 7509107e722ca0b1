"""The eleven states of a TCP connection (RFC 9293, section 3.3.2)."""

from __future__ import annotations

from enum import StrEnum

from handshake_lab.errors import UsageError


class State(StrEnum):
    """A connection state, with its name in RFC 9293."""

    CLOSED = "CLOSED"
    LISTEN = "LISTEN"
    SYN_SENT = "SYN-SENT"
    SYN_RECEIVED = "SYN-RECEIVED"
    ESTABLISHED = "ESTABLISHED"
    FIN_WAIT_1 = "FIN-WAIT-1"
    FIN_WAIT_2 = "FIN-WAIT-2"
    CLOSE_WAIT = "CLOSE-WAIT"
    CLOSING = "CLOSING"
    LAST_ACK = "LAST-ACK"
    TIME_WAIT = "TIME-WAIT"


#: Linux's numbers (include/net/tcp_states.h). 12, TCP_NEW_SYN_RECV, is a
#: request socket; sock_diag reports it as 3, TCP_SYN_RECV.
FROM_LINUX: dict[int, State] = {
    1: State.ESTABLISHED,
    2: State.SYN_SENT,
    3: State.SYN_RECEIVED,
    4: State.FIN_WAIT_1,
    5: State.FIN_WAIT_2,
    6: State.TIME_WAIT,
    7: State.CLOSED,
    8: State.CLOSE_WAIT,
    9: State.LAST_ACK,
    10: State.LISTEN,
    11: State.CLOSING,
    12: State.SYN_RECEIVED,
}


def parse_state(state: str) -> State:
    """A state by its name in RFC 9293.

    Raises:
        UsageError: There is no such state.
    """
    try:
        return State(state)
    except ValueError:
        raise UsageError("state", state, f"is not a state of TCP ({', '.join(State)})", "ESTABLISHED") from None
