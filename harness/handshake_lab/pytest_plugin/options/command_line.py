"""The plugin's command-line options and its markers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.pytest_plugin.options.time_limits import SLOW, SLOW_WALL_LIMIT, WALL_LIMIT

if TYPE_CHECKING:
    import pytest

#: Set in the environment of a test that already is where the kernel is.
INSIDE = "HANDSHAKE_INSIDE"

#: Random loss in each direction under which tests marked ``lossy`` run, if they do not say.
LOSS = "10%"

#: The markers, as ``pytest --markers`` prints them.
MARKERS = (
    "claim(id): this test checks that claim of the course notes (`handshake claims` prints them)",
    (
        "network(topology='pair', faults=(), sysctls={}, seed=None, links=(), **link): the network of a test that uses "
        "`net`; link fields are those of `--link`, with units: delay='50ms', loss='1%', rate='10mbit'"
    ),
    (f"slow: takes more than {SLOW:g} s of the kernel's time: left out on real kernels unless --slow asks for it"),
    (
        "scenario(number): this test is that row of the scenario catalogue; its name there is the function's, "
        "without test_"
    ),
    (
        f"lossy(loss='{LOSS}'): what this test asserts holds whatever is lost; with `--seeds` it runs once for each "
        "seed with so much random loss in each direction, and every transition must be an edge of the diagram"
    ),
)


def add(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("handshake", "Handshake Lab: real TCP on a kernel of its own")
    group.addoption(
        "--kernel",
        default="lab",
        metavar="KIND",
        help="where tests that use `net` run: lab (default), lab:VERSION, host, vm, vm:RELEASE",
    )
    group.addoption("--seed", type=int, default=1, metavar="N", help="seed of every lab kernel (default: 1)")
    group.addoption(
        "--handshake-fresh-boot",
        action="store_true",
        help="boot a lab kernel for every test; without it, one is booted and forked for each, with the same results",
    )
    group.addoption(
        "--link",
        dest="handshake_links",
        action="append",
        default=[],
        metavar="TEXT",
        help="impairment laid over that of every test: delay=200ms",
    )
    group.addoption(
        "--artifacts",
        default=None,
        metavar="DIR",
        help="keep every test's record here; without it, a failing test's record is kept in handshake-artifacts/",
    )
    group.addoption(
        "--lang",
        dest="handshake_lang",
        choices=["en", "ko"],
        default="en",
        help="language of ladders, pages and their index: en (default), ko",
    )
    group.addoption(
        "--wall-limit",
        type=float,
        default=None,
        metavar="SECONDS",
        help=f"wall time after which a test's kernel is killed (default: {WALL_LIMIT:g}, with --slow "
        f"{SLOW_WALL_LIMIT:g})",
    )
    group.addoption(
        "--slow", action="store_true", help="on real kernels, run tests that are marked `slow` too: it takes an hour"
    )
    _add_variants(group)
    _add_coverage(group)


def _add_variants(group: pytest.OptionGroup) -> None:
    group.addoption(
        "--seeds",
        default=None,
        metavar="FIRST-LAST",
        help="run tests marked `lossy` once for each seed (1-50, or 7), with random loss",
    )
    group.addoption(
        "--mutate",
        default=None,
        metavar="KINDS",
        help="break every test that uses `net` on purpose, and pass if it fails: all, or some of cause, states, times, "
        "segments",
    )


def _add_coverage(group: pytest.OptionGroup) -> None:
    group.addoption("--edge-coverage", action="store_true", help="tell which edges of the state diagram were taken")
    group.addoption(
        "--edge-coverage-fail-under",
        type=float,
        default=None,
        metavar="PERCENT",
        help="fail if fewer of the edges that Linux has were taken",
    )
    group.addoption(
        "--edge-coverage-svg", default=None, metavar="FILE", help="draw the diagram: edges taken solid, others dashed"
    )
    group.addoption(
        "--handshake-json",
        default=None,
        metavar="FILE",
        help="write down what every test that uses `net` came to: outcome, times, edges",
    )
