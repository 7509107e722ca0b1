"""On the lab kernel: links are as requested, according to tc and to measurements with packets."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FIFTY = {"delay": {"delay": 0.05, "jitter": 0, "correlation": 0}}
TOGETHER = (
    "delay=50ms,jitter=5ms,jitter_correlation=25%,distribution=pareto,loss=1%,loss_correlation=25%,rate=10mbit,"
    "limit=77,reorder=25%,reorder_correlation=50%,gap=5,duplicate=1%,duplicate_correlation=30%,corrupt=0.1%,"
    "corrupt_correlation=30%"
)
#: Each field alone, then together; the expected output of tc, in its units (seconds, fractions).
READ: list[tuple[str, dict[str, Any]]] = [
    ("delay=50ms", {"delay": {"delay": 0.05, "jitter": 0, "correlation": 0}}),
    ("delay=300us", {"delay": {"delay": 0.0003, "jitter": 0, "correlation": 0}}),
    ("delay=50ms,jitter=5ms", {"delay": {"delay": 0.05, "jitter": 0.005, "correlation": 0}}),
    (
        "delay=50ms,jitter=5ms,jitter_correlation=25%",
        {"delay": {"delay": 0.05, "jitter": 0.005, "correlation": 0.25}},
    ),
    ("delay=50ms,jitter=5ms,distribution=normal", {"delay": {"delay": 0.05, "jitter": 0.005, "correlation": 0}}),
    ("loss=1%", {"loss-random": {"loss": 0.01, "correlation": 0}}),
    ("loss=100%", {"loss-random": {"loss": 1, "correlation": 0}}),
    ("loss=1%,loss_correlation=25%", {"loss-random": {"loss": 0.01, "correlation": 0.25}}),
    ("gilbert=1%/10%/70%/0.1%", {"loss-gemodel": {"p": 0.01, "r": 0.1, "1-h": 0.7, "1-k": 0.001}}),
    ("rate=10mbit", {"rate": {"rate": 1_250_000, "packetoverhead": 0, "cellsize": 0, "celloverhead": 0}}),
    ("rate=40gbit", {"rate": {"rate": 5_000_000_000, "packetoverhead": 0, "cellsize": 0, "celloverhead": 0}}),
    ("limit=7,loss=1%", {"limit": 7, "loss-random": {"loss": 0.01, "correlation": 0}}),
    ("delay=50ms,reorder=25%", {**FIFTY, "reorder": {"reorder": 0.25, "correlation": 0}, "gap": 1}),
    (
        "delay=50ms,reorder=25%,reorder_correlation=50%,gap=5",
        {**FIFTY, "reorder": {"reorder": 0.25, "correlation": 0.5}, "gap": 5},
    ),
    ("duplicate=1%", {"duplicate": {"duplicate": 0.01, "correlation": 0}}),
    ("duplicate=1%,duplicate_correlation=30%", {"duplicate": {"duplicate": 0.01, "correlation": 0.3}}),
    ("corrupt=0.1%", {"corrupt": {"corrupt": 0.001, "correlation": 0}}),
    ("corrupt=0.1%,corrupt_correlation=30%", {"corrupt": {"corrupt": 0.001, "correlation": 0.3}}),
    (
        TOGETHER,
        {
            "delay": {"delay": 0.05, "jitter": 0.005, "correlation": 0.25},
            "loss-random": {"loss": 0.01, "correlation": 0.25},
            "rate": {"rate": 1_250_000, "packetoverhead": 0, "cellsize": 0, "celloverhead": 0},
            "limit": 77,
            "reorder": {"reorder": 0.25, "correlation": 0.5},
            "gap": 5,
            "duplicate": {"duplicate": 0.01, "correlation": 0.3},
            "corrupt": {"corrupt": 0.001, "correlation": 0.3},
        },
    ),
]
#: The fields of every netem queue in the output of tc.
ALWAYS = {"limit": 1000, "gap": 0}


@pytest.fixture(scope="module")
def read(do: Callable[..., Any]) -> dict[str, list[dict[str, Any]]]:
    """The output of tc for both ports of the switch, for every row of the table; one kernel for all."""
    found: dict[str, list[dict[str, Any]]] = do("link_fields", [text for text, _ in READ])
    return found


@pytest.mark.parametrize(("text", "options"), READ, ids=[text for text, _ in READ])
def test_tc_reads_what_was_asked(read: dict[str, list[dict[str, Any]]], text: str, options: dict[str, Any]) -> None:
    """Each field alone and all together, in both directions; and no other impairment."""
    for queue in read[text]:
        said = queue["options"]
        # tc prints a probability rounded to 32 bits and a second or two digits of it.
        assert set(ALWAYS | options) <= set(said)
        assert set(said) - {"seed", "ecn"} <= set(ALWAYS | options)
        for key, value in (ALWAYS | options).items():
            if isinstance(value, dict):
                assert said[key] == pytest.approx(value, rel=1e-6, abs=1.5e-6)
            else:
                assert said[key] == pytest.approx(value, rel=1e-6, abs=1e-9)


DELAYS = ["delay=1ms", "delay=10ms", "delay=50ms", "delay=333ms", "delay=2s"]


def test_a_delay_is_exact_to_a_jiffy(do: Callable[..., Any]) -> None:
    """In virtual time every datagram takes the delay, and at most a tick of 4 ms more; actually microseconds."""
    for text, times in do("one_way", DELAYS).items():
        asked = {"ms": 1e6, "s": 1e9}[text.lstrip("delay=0123456789")] * float(text.strip("delay=ms"))
        assert all(asked <= taken <= asked + 50_000 for taken in times), (text, times)


def test_a_rate_is_right_within_two_per_cent(do: Callable[..., Any]) -> None:
    """Frames sent without pauses arrive at the rate, including headers."""
    rates = {"rate=64kbit": 64e3, "rate=1mbit": 1e6, "rate=10mbit": 10e6, "rate=100mbit": 1e8, "rate=1gbit": 1e9}

    assert rates == {
        text: pytest.approx(measured, rel=0.02) for text, measured in do("throughput", list(rates)).items()
    }


@pytest.mark.parametrize("percent", [1, 5, 20])
def test_loss_is_as_frequent_as_asked(do: Callable[..., Any], percent: int) -> None:
    """Over several seeds, the number of losses is in the binomial distribution's 99 % interval; and seeds differ."""
    count = 1000
    by_seed = [do("lost_of", [f"loss={percent}%", count], seed=seed) for seed in range(1, 6)]
    lost, sent = sum(map(sum, by_seed)), len(by_seed) * 2 * count
    chance = percent / 100
    half = 2.576 * math.sqrt(sent * chance * (1 - chance))

    assert sent * chance - half <= lost <= sent * chance + half
    assert len({tuple(each) for each in by_seed}) > 1


def test_a_link_can_be_changed_cut_and_mended(do: Callable[..., Any]) -> None:
    """Each change applies from then on, to both directions or one, and can be undone."""
    found = {name: (connects, links) for name, connects, links in do("change_links")}

    assert [name for name, (connects, _) in found.items() if not connects] == ["lossy", "cut", "routed cut"]
    assert found["lossy"][1] == ["s1>h1:delay=20ms,loss=100%", "s1>h2:delay=20ms", "h1>s1:loss=100%"]
    assert found["whole again"][1] == found["whole"][1] == ["s1>h1:delay=20ms", "s1>h2:delay=20ms"]
    assert found["jittery"][1][0] == "s1>h1:delay=20ms,jitter=5ms,distribution=uniform"
    assert found["clear"][1] == ["s1>h2:delay=20ms"]


def test_a_link_that_is_no_longer_as_asked_is_an_error(do: Callable[..., Any]) -> None:
    """An external change or removal is detected at the end, with both values."""
    changed, removed = do("tampered")

    assert changed[0] == removed[0] == "ImpairmentNotApplied"
    assert "s1-eth2: requested delay=50ms (latency 50000000), but the kernel has latency 40000000" in changed[1]
    assert "s1-eth2: requested delay=50ms, but the kernel has" in removed[1]


def test_a_checks_findings_are_right(do: Callable[..., Any]) -> None:
    """Measured with real packets, the paths of every topology are as requested."""
    wanted = [
        ["pair", ["delay=50ms,loss=1%"]],
        ["pair,ipv6=true", ["delay=5ms,rate=2mbit"]],
        ["chain,3", ["delay=1ms", "s1>s2:delay=3ms,loss=5%", "h1-s1:rate=1mbit"]],
        ["routed", ["delay=5ms,loss=20%"]],
        ["firewall", ["delay=5ms"]],
        ["nat", ["delay=5ms,rate=10mbit"]],
        ["pair", ["gilbert=1%/10%"]],
        ["pair", ["loss=100%"]],
    ]

    for request, findings in zip(wanted, do("check", wanted), strict=True):
        assert findings, request
        assert [finding for finding in findings if not finding[4]] == [], request


def test_a_refused_request_among_many_is_named(do: Callable[..., Any]) -> None:
    """Requests are sent 256 at a time, and only the last asks for an answer; those after it in its batch are met."""
    found = do("refused", [0, 100, 255, 256, 599])

    assert [each[:2] for each in found] == [["bringing nosuch up", errno.ENODEV]] * 5
    assert [each[2] for each in found] == [255, 255, 255, 511, 599]
