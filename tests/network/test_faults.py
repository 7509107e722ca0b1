"""On the lab kernel: a fault changes the segments that it names as described, and no others."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_WAY = 50_000_000
#: A thread's work takes no time in the lab; system calls move its clock by less than this.
NOTHING = 100_000


def differences(rows: list[list[Any]]) -> dict[str, list[Any]]:
    """The effects of the middle: lost, crafted and delayed segments, each with its sender, and damaged ones.

    Segments are distinguished by their flags, numbers and length; copies are paired in order.
    """
    sent: dict[tuple[Any, ...], list[int]] = {}
    got: dict[tuple[Any, ...], list[int]] = {}
    damaged = []
    for moment, host, way, flags, seq, ack, length, right in rows:
        sender = host if way == "sent" else {"h1": "h2", "h2": "h1"}[host]
        (sent if way == "sent" else got).setdefault((sender, flags, seq, ack, length), []).append(moment)
        if not right:
            damaged.append([sender, flags])
    lost, made, late = [], [], []
    for key in {**sent, **got}:
        there, here = sent.get(key, []), got.get(key, [])
        name = [key[0], key[1] + ("+" if key[4] else "")]
        lost += [name] * (len(there) - len(here))
        made += [name] * (len(here) - len(there))
        if len(there) == len(here):
            for left, arrived in zip(there, here, strict=True):
                extra = arrived - left - ONE_WAY
                if abs(extra) > NOTHING:
                    late.append([*name, round(extra / 1e6)])
    return {
        key: value for key, value in {"lost": lost, "made": made, "late": late, "damaged": damaged}.items() if value
    }


#: Faults, bytes sent by the client, and the exact effects of the middle.
DONE: list[tuple[list[str], int, dict[str, list[Any]], list[int]]] = [
    ([], 5, {}, []),
    (["drop SYN nth=1"], 5, {"lost": [["h1", "S"]]}, [1]),
    (["drop SYN nth=1,2 from h1"], 5, {"lost": [["h1", "S"], ["h1", "S"]]}, [2]),
    (["drop SYN-ACK nth=1"], 5, {"lost": [["h2", "SA"]]}, [1]),
    (["drop ACK nth=1"], 5, {"lost": [["h1", "A"]]}, [1]),
    (["drop ACK nth=1 from h2"], 5, {"lost": [["h2", "A"]]}, [1]),
    (["drop DATA nth=1 to h2"], 5, {"lost": [["h1", "A+"]]}, [1]),
    (["drop FIN first=2"], 5, {"lost": [["h1", "FA"], ["h1", "FA"]]}, [2]),
    (["drop DATA every=2 from h1"], 2000, {"lost": [["h1", "A+"]]}, [1]),
    (["drop DATA nth=2 from h1 port=80"], 4000, {"lost": [["h1", "A+"]]}, [1]),
    (["duplicate SYN"], 5, {"made": [["h1", "S"]]}, [1]),
    (["duplicate SYN-ACK nth=1 copies=2"], 5, {"made": [["h2", "SA"], ["h2", "SA"]]}, [1]),
    (["delay DATA 30ms nth=1 from h1"], 5, {"late": [["h1", "A+", 30]]}, [1]),
    (["corrupt DATA nth=1 from h1"], 5, {"damaged": [["h1", "A"]]}, [1]),
    (["drop SYN nth=1", "drop SYN-ACK nth=1"], 5, {"lost": [["h1", "S"], ["h2", "SA"]]}, [1, 1]),
    # Each fault counts separately: the second SYN is the second for both.
    (["drop SYN nth=1", "drop SYN nth=2"], 5, {"lost": [["h1", "S"], ["h1", "S"]]}, [1, 1]),
    (["drop SYN nth=1", "duplicate SYN nth=2 copies=2"], 5, {"made": [["h1", "S"]]}, [1, 1]),
    (["drop SYN-ACK nth=1", "duplicate SYN nth=1"], 5, {"lost": [["h2", "SA"]], "made": [["h1", "S"]]}, [1, 1]),
    (["drop RST optional"], 5, {}, [0]),
    # Flags as ladders print them: what is not named may be set besides, but for SYN, FIN, RST and ACK.
    (["drop PSH-ACK nth=1 from h1"], 5, {"lost": [["h1", "A+"]]}, [1]),
    (["drop FIN-ACK nth=1 from h1"], 5, {"lost": [["h1", "FA"]]}, [1]),
    (["drop none optional", "drop FIN-SYN optional", "drop PSH optional"], 5, {}, [0, 0, 0]),
]


@pytest.fixture(scope="module")
def done(do: Callable[..., Any]) -> list[dict[str, Any]]:
    """A conversation for every row of the table; one kernel for all."""
    found: list[dict[str, Any]] = do("faults", [[faults, size] for faults, size, _, _ in DONE])
    return found


@pytest.mark.parametrize("number", range(len(DONE)), ids=[" + ".join(row[0]) or "none" for row in DONE])
def test_a_fault_does_what_it_says_and_nothing_else(done: list[dict[str, Any]], number: int) -> None:
    """Compared with captures on both sides; every other segment crosses once, after exactly the delay."""
    faults, _, middle, fired = DONE[number]
    found = done[number]

    assert found.get("trouble", found) == ""
    assert [report[1] for report in found["reports"]] == fired
    assert [report[0] for report in found["reports"]] == faults
    seen = differences(found["rows"])
    assert {key: sorted(value) for key, value in seen.items()} == {key: sorted(value) for key, value in middle.items()}


def test_a_delayed_fin_arrives_that_much_later(do: Callable[..., Any]) -> None:
    """300 ms in addition to the link's 50, to the microsecond; the retransmission that it causes is not delayed."""
    (found,) = do("faults", [[["delay FIN 300ms nth=1 from h1"], 5]])
    fins = [row for row in found["rows"] if row[3] == "FA"]
    left = min(row[0] for row in fins if row[1:3] == ["h1", "sent"])
    arrived = [row[0] - left for row in fins if row[1:3] == ["h2", "received"]]

    assert abs(min(arrived) - 350_000_000) < NOTHING


def test_reordering_swaps_a_segment_with_the_next(do: Callable[..., Any]) -> None:
    """The first of three data segments arrives after the second."""
    (found,) = do("faults", [[["reorder DATA nth=1 from h1"], 4000]])
    order = [
        [row[4] for row in found["rows"] if row[1:3] == side and row[6]]
        for side in (["h1", "sent"], ["h2", "received"])
    ]

    assert order[1][:3] == [order[0][1], order[0][0], order[0][2]]


def test_a_held_segment_waits_until_it_is_let_go(do: Callable[..., Any]) -> None:
    """The third segment of the handshake, held for 200 ms, arrives 200 ms later and after the data."""
    found = do("hold_and_release")

    assert found["reports"] == [["hold ACK nth=1 from h1", 1]]
    assert differences(found["rows"]) == {"late": [["h1", "A", 200]]}


def test_made_up_segments_hit_exactly_or_miss_as_asked(do: Callable[..., Any]) -> None:
    """An exact RST resets; an inexact RST and an old SYN get a challenge ACK; the other end is not affected."""
    exact, inexact, outside, to_client, syn = do(
        "inject_now",
        [
            ["RST", "h2", 0, None],
            ["RST", "h2", 10, None],
            ["RST", "h2", -100_000, None],
            ["RST", "h1", 0, None],
            ["SYN", "h2", 0, None],
        ],
    )

    assert exact["states"] == {"h1": "open", "h2": "ConnectionResetError"}
    assert exact["after"] == [["h2", "received", "R"]]
    assert inexact["states"] == outside["states"] == syn["states"] == {"h1": "open", "h2": "open"}
    assert Counter(map(tuple, inexact["after"])) == {
        ("h2", "received", "R"): 1,
        ("h2", "sent", "A"): 1,
        ("h1", "received", "A"): 1,
    }
    assert outside["after"] == [["h2", "received", "R"]]
    assert to_client["states"] == {"h1": "ConnectionResetError", "h2": "open"}
    assert ["h2", "sent", "A"] in syn["after"]


def test_an_injected_segment_goes_behind_the_one_that_is_named(do: Callable[..., Any]) -> None:
    """An exact RST to the server after the SYN-ACK: the request is gone when the client's ACK arrives."""
    (found,) = do("faults", [[["inject RST to h2 on SYN-ACK nth=1"], 5]])

    assert found["trouble"] == "ConnectionResetError"
    assert ["h2", "R"] not in differences(found["rows"])["made"]
    assert differences(found["rows"]) == {"made": [["h1", "R"]]}


def test_a_fault_that_never_fired_is_an_error_unless_optional(do: Callable[..., Any]) -> None:
    """Faults of every kind, in the packet filter and in the middlebox; the error names them."""
    found = do("faults", [[["drop RST", "hold RST"], 5], [["duplicate RST optional"], 5]])

    assert found[0]["error"] == "FaultNeverFired"
    assert "'drop RST' never fired; the fault 'hold RST' never fired" in found[0]["message"]
    assert found[1]["reports"] == [["duplicate RST optional", 0]]
