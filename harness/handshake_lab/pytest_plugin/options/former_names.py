"""Former names of options and markers, without the prefix: each is refused, and the message names its successor.

Other plugins and conftest files may define the same names; theirs are left alone.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.pytest_plugin.options.command_line import LOSSY_MARKER, NETWORK_MARKER, OPTIONS, SLOW_MARKER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pytest

#: Options that formerly had no prefix, by their present names.
_FORMER = (
    "kernel", "seed", "link", "artifacts", "lang", "wall-limit", "slow", "seeds", "mutate", "edge-coverage",
    "edge-coverage-fail-under", "edge-coverage-svg",
)  # fmt: skip
_OPTIONS = {f"--{option.name}": option for option in OPTIONS if option.name in _FORMER}
_MARKERS = {"network": NETWORK_MARKER, "lossy": LOSSY_MARKER, "slow": SLOW_MARKER}
_NETWORK_KEYWORDS = ("topology", "faults", "sysctls", "seed", "links")

_UNKNOWN_MARKER = re.compile(rf"'({'|'.join(_MARKERS)})' not found in `markers` configuration option")


def refuse_options(config: pytest.Config, parser: pytest.Parser, words: Sequence[str]) -> None:
    """Refuse former options, unless another plugin or conftest file has defined them.

    Args:
        config: The session's, after the initial conftest files were loaded.
        parser: The parser, with the options of all plugins.
        words: The command line, including ``addopts`` and ``PYTEST_ADDOPTS``.

    Raises:
        UsageError: A former option was used; the error names its successor.
    """
    if config.known_args_namespace.help or config.known_args_namespace.version:
        return
    unknown = parser.parse_known_and_unknown_args(list(words), namespace=copy.copy(config.option))[1]
    for word in unknown:
        name, equals, value = word.partition("=")
        if name not in _OPTIONS:
            continue
        successor = _OPTIONS[name]
        if not equals and successor.kind != "flag":
            value = next(iter(words[words.index(word) + 1 :]), successor.example)
        reason = f"is not an option of pytest; Handshake Lab's options begin with --handshake-: {successor.flag}"
        raise UsageError("pytest", word, reason, f"pytest {successor.flag}{f'={value}' if value else ''}")


def refuse_markers(item: pytest.Item) -> None:
    """Refuse former markers on a test that uses ``net``, unless the project declares markers of these names.

    Raises:
        UsageError: A former marker was used; the error names its successor.
    """
    for marker in item.iter_markers():
        if marker.name in _MARKERS and marker.name not in _declared(item.config) and _is_former(marker):
            raise UsageError(
                item.name,
                f"@pytest.mark.{marker.name}",
                f"is not a marker of Handshake Lab; its successor is {_MARKERS[marker.name]} (if this is a marker of "
                "your project, declare it in `markers`)",
                f"@pytest.mark.{_MARKERS[marker.name]}{_arguments(marker)}",
            )


def _declared(config: pytest.Config) -> Iterator[str]:
    for line in config.getini("markers"):
        yield re.split(r"[:(]", line, maxsplit=1)[0].strip()


def _is_former(marker: pytest.Mark) -> bool:
    """Whether a marker has arguments of the former one; other projects use ``network`` for a different purpose."""
    from handshake_lab.plan.link import EXAMPLES

    if marker.name == "network":
        return bool(marker.kwargs) and marker.kwargs.keys() <= {*_NETWORK_KEYWORDS, *EXAMPLES}
    return not marker.args and marker.kwargs.keys() <= ({"loss"} if marker.name == "lossy" else set())


def _arguments(marker: pytest.Mark) -> str:
    words = ", ".join(f"{name}={value!r}" for name, value in marker.kwargs.items())
    return f"({words})" if words else ""


def hint(message: str) -> str:
    """The sentence to add to an error of ``--strict-markers`` about a former marker; "" for other markers."""
    found = _UNKNOWN_MARKER.search(message)
    if found is None:
        return ""
    return (
        f"Handshake Lab's markers begin with handshake. Instead of @pytest.mark.{found[1]}, write "
        f"@pytest.mark.{_MARKERS[found[1]]}; if {found[1]!r} is a marker of your project, declare it in `markers`."
    )
