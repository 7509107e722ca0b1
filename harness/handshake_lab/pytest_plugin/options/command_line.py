"""The plugin's options, ini keys and markers.

Every name begins with ``handshake``, so that other plugins and conftest files keep theirs.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from handshake_lab.errors import UsageError
from handshake_lab.kernel.shared.kernel_name import USUAL, in_real_time
from handshake_lab.pytest_plugin.options.time_limits import SLOW, SLOW_WALL_LIMIT, WALL_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

#: Set in the environment of a test that already runs in a kernel.
INSIDE = "HANDSHAKE_INSIDE"

#: The fixture's marker.
NETWORK_MARKER = "handshake"
SLOW_MARKER = "handshake_slow"
LOSSY_MARKER = "handshake_lossy"

#: Random loss in each direction for tests with the marker ``handshake_lossy``, unless the marker names another.
LOSS = "10%"

#: The markers, as ``pytest --markers`` prints them.
MARKERS = (
    (
        f"{NETWORK_MARKER}(topology='pair', faults=(), sysctls={{}}, seed=None, links=(), cost=None, curves=False, "
        "**link): the network of a test that uses the fixture `net`; **link are properties of its links, with units: "
        "delay='50ms', loss='1%', rate='10mbit'. For example: "
        "@pytest.mark.handshake(delay='50ms', faults='drop SYN nth=1 from h1')"
    ),
    (
        f"{SLOW_MARKER}: the test takes more than {SLOW:g} s of the kernel's time; on kernels that run in real time "
        "(host, vm) it runs only with --handshake-slow"
    ),
    (
        f"{LOSSY_MARKER}(loss='{LOSS}'): the test's assertions hold for any loss of segments; --handshake-seeds runs "
        "it once per seed with this random loss in each direction, and requires that every transition is an edge of "
        "RFC 9293's diagram"
    ),
)


def _whole_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 64):
        raise ValueError("is not a whole number from 0 to 2**64-1")
    return int(text)


def _mebibytes(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError("is not a number of MiB")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        from handshake_lab.plan.units import duration

        try:
            seconds = duration("", text) / 1e9
        except UsageError:
            seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError("is not a positive number of seconds")
    return seconds


def _percent(text: str) -> float:
    try:
        percent = float(text.removesuffix("%"))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise ValueError("is not a percentage from 0 to 100")
    return percent


def _decisions(text: str) -> tuple[int, ...]:
    try:
        return tuple(_whole_number(each.strip()) for each in text.split(","))
    except ValueError:
        raise ValueError("is not a list of the numbers of decisions, from 0") from None


def _language(text: str) -> str:
    if text not in ("en", "ko"):
        raise ValueError("is not a language of the reports: en or ko")
    return text


@dataclass(frozen=True, slots=True)
class Option:
    """One option, ``--handshake-NAME``, and its ini key, ``handshake_NAME``.

    Attributes:
        name: The option's name after the prefix.
        help: What it does.
        example: A correct value; "" for a flag.
        default: The value if neither the command line nor the ini file has one.
        read: Converts text to the value; raises ValueError with the reason.
        kind: ``text`` takes one value, ``texts`` may be repeated, a ``flag`` takes none.
        ini: Whether it has an ini key.
        is_path: Whether it is a path: in the ini file, relative to that file.
        metavar: The value's name in the help.
    """

    name: str
    help: str
    example: str = ""
    default: Any = None
    read: Callable[[str], Any] = str
    kind: Literal["text", "texts", "flag"] = "text"
    ini: bool = True
    is_path: bool = False
    metavar: str = ""

    @property
    def flag(self) -> str:
        """The option: ``--handshake-wall-limit``."""
        return f"--handshake-{self.name}"

    @property
    def key(self) -> str:
        """The ini key, and the attribute of ``config.option``: ``handshake_wall_limit``."""
        return f"handshake_{self.name.replace('-', '_')}"

    @property
    def text(self) -> str:
        """The help text, with the ini key and an example."""
        example = f"{self.flag}={self.example}" if self.example else self.flag
        key = f" Ini key: {self.key}." if self.ini else ""
        return f"{self.help}{key} For example: {example}".replace("%", "%%")

    def value(self, given: Any, source: str, example: str) -> Any:
        """The value, given as in the command line or in the ini file.

        Raises:
            UsageError: It is invalid.
        """
        if self.read is str or not isinstance(given, str | int | float):
            return given
        try:
            return self.read(str(given))
        except ValueError as error:
            raise UsageError(source, given, str(error), example) from None


OPTIONS = (
    Option(
        "kernel",
        "Where tests with the fixture `net` run: lab or lab:VERSION (User-Mode Linux, virtual time), host (this "
        "machine's own kernel), vm or vm:RELEASE (a distribution's kernel in QEMU). Default: lab, on arm64 vm.",
        example="lab:6.1",
        default=USUAL,
        metavar="KIND",
    ),
    Option(
        "real-time",
        "With --handshake-kernel=vm: let time pass as on the wall clock, with all of this machine's files.",
        default=False,
        kind="flag",
    ),
    Option(
        "seed",
        "Seed of the random numbers of every lab and vm kernel: the same seed gives the same run. Default: 1.",
        example="7",
        default=1,
        read=_whole_number,
        metavar="N",
    ),
    Option(
        "link",
        "Impairment that is added to the links of every test. Repeatable; in the ini file, one per line.",
        example="delay=200ms",
        default=(),
        kind="texts",
        metavar="TEXT",
    ),
    Option(
        "artifacts",
        "Directory that keeps the record of every test, with a page, a capture and an index. Without it, only records "
        "of failed tests are kept, in handshake-artifacts/.",
        example="runs",
        is_path=True,
        metavar="DIR",
    ),
    Option(
        "lang",
        "Language of ladders, pages and their index: en or ko. Default: the language of the locale.",
        example="ko",
        read=_language,
        metavar="LANG",
    ),
    Option(
        "wall-limit",
        f"Seconds of wall time after which the kernel of a test is killed. Default: {WALL_LIMIT:g}, with "
        f"--handshake-slow {SLOW_WALL_LIMIT:g}.",
        example="120",
        read=_seconds,
        metavar="SECONDS",
    ),
    Option(
        "time-limit",
        "Seconds of the kernel's time after which a test with the fixture `net` fails, with its stack and with what "
        "its programs do; its fixtures are not counted. Default: none.",
        example="600",
        read=_seconds,
        metavar="SECONDS",
    ),
    Option(
        "slow",
        "On kernels that run in real time, also run tests with the marker handshake_slow.",
        default=False,
        kind="flag",
    ),
    Option(
        "cost",
        "Virtual time that each system call, clock reading and reading of the time-stamp counter of a program takes on "
        "a lab kernel (docs/explanation/determinism.md). A cost in the marker has precedence. Default: none.",
        example="syscall=1us,clock=1us",
        metavar="COSTS",
    ),
    Option(
        "memory",
        "Memory of the lab kernel, in MiB. Default: 512.",
        example="1024",
        read=_mebibytes,
        metavar="MIB",
    ),
    Option(
        "clock-start",
        "Wall clock of the lab kernel at boot, in ISO 8601, UTC unless it names a zone. Default: 2026-01-01.",
        example="2026-11-27T12:00:00",
        metavar="TIME",
    ),
    Option(
        "check-repeat",
        "Run every test that uses a kernel twice, and fail it if the second record differs from the first; the first "
        "event that differs is shown, with the program that it came from.",
        default=False,
        kind="flag",
    ),
    Option(
        "fresh-boot",
        "Boot a lab kernel for every test. By default a kernel boots once and is forked for each test, which is faster "
        "and gives the same records.",
        default=False,
        kind="flag",
    ),
    Option(
        "follow",
        "Run only one branch of a test that branches: the numbers of its decisions, from 0, as a failed branch prints "
        "them.",
        example="1,0",
        read=_decisions,
        ini=False,
        metavar="NUMBERS",
    ),
    Option(
        "seeds",
        "Also run tests with the marker handshake_lossy under random loss, once for each of these seeds.",
        example="1-50",
        ini=False,
        metavar="SEEDS",
    ),
    Option(
        "mutate",
        "Mutate every test with the fixture `net`, to find tests that cannot fail: a mutated test passes if its own "
        "assertions fail. The mutations are cause, states, times and segments; all stands for all of them.",
        example="cause,states",
        ini=False,
        metavar="KINDS",
    ),
    Option(
        "explore",
        "Explore every test with the fixture `net`: search for faults on segments that make it fail. The settings are "
        "faults=N of=KINDS runs=N budget=TIME workers=N (docs/how-to/explore.md).",
        example="faults=2 of=drop,delay",
        ini=False,
        metavar="SETTINGS",
    ),
    Option(
        "replay",
        "Run a finding again instead of exploring, and compare the record with the finding's.",
        example="handshake-findings/test_it.py-test_shop/drop-syn-nth-1-from-h1-a205b7",
        ini=False,
        is_path=True,
        metavar="DIR",
    ),
    Option(
        "findings",
        "Directory that keeps the findings of --handshake-explore. Default: handshake-findings.",
        example="findings",
        default="handshake-findings",
        is_path=True,
        metavar="DIR",
    ),
    Option(
        "edge-coverage",
        "Print the edges of RFC 9293's state diagram that the tests covered.",
        default=False,
        kind="flag",
    ),
    Option(
        "edge-coverage-fail-under",
        "Fail the session if the tests covered less than this percentage of the edges that exist in Linux.",
        example="90",
        read=_percent,
        metavar="PERCENT",
    ),
    Option(
        "edge-coverage-svg",
        "Draw the state diagram to this file: covered edges are solid, others dashed.",
        example="edges.svg",
        ini=False,
        metavar="FILE",
    ),
    Option(
        "json",
        "Write the result of every test with the fixture `net` to this file: outcome, times, edges.",
        example="results.json",
        ini=False,
        metavar="FILE",
    ),
)


def add(parser: pytest.Parser) -> None:
    """Declare the options and their ini keys."""
    group = parser.getgroup("handshake", "Handshake Lab: tests of real TCP, each in a separate kernel")
    for option in OPTIONS:
        attributes: dict[str, Any] = {"dest": option.key, "default": None, "help": option.text}
        if option.kind == "flag":
            attributes |= {"action": "store_const", "const": True}
        else:
            attributes |= {"action": "append" if option.kind == "texts" else "store", "metavar": option.metavar}
        group.addoption(option.flag, **attributes)
        if option.ini:
            kind: Any = {"text": "string", "texts": "linelist", "flag": "bool"}[option.kind]
            if option.kind == "text" and option.read is not str and pytest.version_tuple >= (9, 2):
                kind = str | int | float  # TOML has numbers; earlier releases of pytest have no such type
            parser.addini(option.key, f"Default of {option.flag}. {option.help}", type=kind, default=None)


def settle(config: pytest.Config) -> None:
    """Set all options in ``config.option``: from the command line, or else the ini file, or else the defaults.

    Raises:
        pytest.UsageError: A value is invalid.
    """
    for option in OPTIONS:
        try:
            setattr(config.option, option.key, _in_force(option, config))
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
    if config.option.handshake_real_time:
        try:
            config.option.handshake_kernel = in_real_time(config.option.handshake_kernel)
        except UsageError as error:
            raise pytest.UsageError(spelled(str(error))) from None


def _in_force(option: Option, config: pytest.Config) -> Any:
    given = getattr(config.option, option.key)
    if given is not None:
        return option.value(given, option.flag, f"{option.flag}={option.example}")
    return _of_the_project(option, config)


def _of_the_project(option: Option, config: pytest.Config) -> Any:
    """The ini file's value, or the default."""
    given = config.getini(option.key) if option.ini else None
    if given is None or given in ("", []):
        return option.default
    if option.is_path and config.inipath is not None:
        given = os.path.relpath(config.inipath.parent / given)
    return option.value(given, option.key, f"{option.key} = {option.example}")


def language(config: pytest.Config) -> str:
    """The language of reports; the locale is read only if no language is given."""
    option = config.option
    if option.handshake_lang is None:
        from handshake_lab.report.text.language import locale_language

        option.handshake_lang = locale_language()
    found: str = option.handshake_lang
    return found


def replay_words(config: pytest.Config, names: tuple[str, ...]) -> list[str]:
    """The options that set these values again, independently of the ini file.

    Args:
        config: The session's.
        names: Names of options, without the prefix.
    """
    words = []
    for option in OPTIONS:
        value = getattr(config.option, option.key)
        if option.name not in names or (value == option.default == _of_the_project(option, config)):
            continue
        for each in value if option.kind == "texts" else (value,):
            words += [option.flag, str(each)]
    return words


#: Options of the command ``handshake`` that the plugin has with a prefix; its ``--json`` has a different meaning.
_SHORT = re.compile(rf"(?<![\w-])--({'|'.join(option.name for option in OPTIONS if option.name != 'json')})(?![\w-])")


def spelled(text: str) -> str:
    """A message with options of the command ``handshake``, changed to the plugin's options."""
    return _SHORT.sub(r"--handshake-\1", text)


def prefixed(word: str) -> str:
    """An argument of the command ``handshake``, changed to the plugin's: ``--handshake-seed=7`` for ``--seed=7``."""
    return _SHORT.sub(r"--handshake-\1", word, count=1) if word.startswith("--") else word
