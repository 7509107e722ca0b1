"""Topology files of the shapes that courses use load as they are, are measured, and none of their words is ignored."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from record_verb import handshake

if TYPE_CHECKING:
    import subprocess

TOPOLOGIES = Path(__file__).parent / "topologies"


def _to_mend(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason)


not_measured = _to_mend("topology check looks for the file inside the kernel, where it is not")
no_dictionary = _to_mend("a file with one topology and no dictionary 'topos' is refused")
no_prefix = _to_mend("an address without a prefix length is refused, though Mininet takes it for /8")
own_arguments = _to_mend("a file that reads its own command line reads that of handshake, and ends it")
words_ignored = _to_mend("a parameter of a link that is not supported is ignored without a word")
loop_unnamed = _to_mend("the message about switches in a loop names one of them twice")


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A directory outside of the checkout with the files in it, as somebody has it who takes a course."""
    return shutil.copytree(TOPOLOGIES, tmp_path / "course")


def run_on(course: Path, name: str, host: str = "h1") -> subprocess.CompletedProcess[str]:
    """Record a program that does nothing on a file's topology."""
    return handshake("record", "--plain", "--topology", f"./{name}.py", "--client", f"{host}=true", cwd=course)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("two_links", "h1"),
        ("runs_itself_and_custom", "h1"),
        ("row", "A"),
        ("linux_router", "h3"),
        ("marks", "h1"),
        pytest.param("runs_itself", "h1", marks=no_dictionary),
        pytest.param("no_prefix", "h1", marks=no_prefix),
        pytest.param("same_name", "h1", marks=no_prefix),
        pytest.param("own_arguments", "h1", marks=own_arguments),
    ],
)
def test_loads(course: Path, name: str, host: str) -> None:
    """The file is given as it is, by a relative path; its hosts have the names that it gives them."""
    done = run_on(course, name, host)

    assert done.returncode == 0, done.stderr


@not_measured
@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("two_links", ["h1-h2", "h1>h2", "h2>h1"]),
        ("runs_itself", ["h1-h2", "h1>h2", "h2>h1"]),
        ("runs_itself_and_custom", ["h1-h2", "h1>h2", "h2>h1"]),
        ("no_prefix", ["h1-h2", "h1>h2", "h2>h1"]),
        ("same_name", ["h1-h2", "h1>h2", "h2>h1"]),
        ("row", ["A-B", "A>B", "B>A"]),  # its other hosts have no route to each other, in Mininet neither
        ("linux_router", ["h1-h2", "h1>h2", "h2>h1", "h2-h3", "h2>h3", "h3>h2"]),
        ("own_arguments", ["h1-h2", "h1>h2", "h2>h1"]),
        ("marks", ["h1-h2", "h1>h2", "h2>h1"]),
    ],
)
def test_check_measures(course: Path, name: str, paths: list[str]) -> None:
    """`topology check` takes any file, as its help says, and finds on each path what the file asks for."""
    done = handshake("topology", "check", f"./{name}.py", "--json", cwd=course)

    assert done.returncode in (0, 1), done.stderr
    findings = [finding for finding in json.loads(done.stdout)["measurements"] if finding["path"] in paths]
    assert [finding for finding in findings if not finding["right"]] == []
    assert {finding["path"] for finding in findings} == set(paths)


@words_ignored
@pytest.mark.parametrize("word", ["enable_ecn", "enable_red"])
def test_an_unsupported_word_is_named(course: Path, word: str) -> None:
    """Mininet's own words for marking and early detection: a parameter that is not applied is named."""
    done = run_on(course, "marks")

    assert word in done.stdout + done.stderr


@loop_unnamed
def test_a_ring_is_named(course: Path) -> None:
    """Switches in a loop: those that form it are named."""
    done = run_on(course, "ring")

    assert set(re.findall(r"\bs\d", done.stderr)) == {"s1", "s2", "s3"}
