"""The plugin's options and ini keys: the command line's value counts, else the project's, else the default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from handshake_lab.pytest_plugin.options.command_line import MARKERS, OPTIONS, prefixed, spelled

if TYPE_CHECKING:
    from plugin.conftest import Project

SHOW = """
    def test_values(request):
        option = vars(request.config.option)
        print({name: value for name, value in option.items() if name.startswith("handshake_")})
"""


def _shown(project: Project, *words: str) -> str:
    result = project.run("-s", *words)
    result.assert_outcomes(passed=1)
    return next(line for line in result.outlines if "handshake_kernel" in line)


def test_every_name_has_the_prefix(project: Project) -> None:
    """Options, ini keys, markers and fixtures: only the fixtures ``net`` and ``net_plan`` are without."""
    project.write(test_it=SHOW)
    options = project.run("--help").stdout.str()
    fixtures = project.run("--fixtures", "-v").stdout.str()

    assert all(option.flag in options and (not option.ini or f"{option.key} (" in options) for option in OPTIONS)
    assert all(marker.startswith("handshake") for marker in MARKERS)
    found = [line.split()[0] for line in fixtures.splitlines() if "pytest_plugin/fixtures.py" in line]
    assert sorted(found) == ["handshake_variant", "net", "net_plan"]


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_help(option: object) -> None:
    """Every help text has an example, and the ini key where there is one."""
    assert option in OPTIONS
    text = getattr(option, "text", "")

    assert "For example: --handshake-" in text
    assert (f"Ini key: {getattr(option, 'key', '')}." in text) is getattr(option, "ini", None)


def test_defaults(project: Project) -> None:
    """Without anything: the lab kernel, seed 1, the locale's language."""
    project.write(test_it=SHOW)

    shown = _shown(project)

    assert "'handshake_kernel': 'lab', 'handshake_real_time': False, 'handshake_seed': 1, 'handshake_link': ()" in shown
    assert "'handshake_artifacts': None, 'handshake_lang': None, 'handshake_wall_limit': None" in shown
    assert "'handshake_time_limit': None, 'handshake_slow': False" in shown


def test_ini_keys(project: Project) -> None:
    """The project's settings hold, a path relative to their file; the command line's hold before them."""
    project.write(test_it=SHOW)
    (project.path / "pytest.ini").write_text(
        "[pytest]\nhandshake_kernel = host\nhandshake_seed = 9\nhandshake_link =\n    delay=7ms\n    h1>h2:loss=5%\n"
        "handshake_artifacts = kept\nhandshake_lang = ko\nhandshake_wall_limit = 2s\nhandshake_slow = true\n"
        "handshake_edge_coverage_fail_under = 12.5\n"
    )

    shown = _shown(project)
    overridden = _shown(project, "--handshake-seed=1", "--handshake-kernel=lab:6.1", "--handshake-link=loss=1%")

    assert "'handshake_kernel': 'host'" in shown
    assert "'handshake_seed': 9, 'handshake_link': ['delay=7ms', 'h1>h2:loss=5%']" in shown
    assert "'handshake_artifacts': 'kept', 'handshake_lang': 'ko', 'handshake_wall_limit': 2.0" in shown
    assert "'handshake_slow': True" in shown
    assert "'handshake_edge_coverage_fail_under': 12.5" in shown
    assert "'handshake_kernel': 'lab:6.1'" in overridden
    assert "'handshake_seed': 1, 'handshake_link': ['loss=1%']" in overridden


def test_toml(project: Project) -> None:
    """The same in pyproject.toml, where a list is a list."""
    project.write(test_it=SHOW)
    (project.path / "pyproject.toml").write_text(
        '[tool.pytest.ini_options]\nhandshake_link = ["delay=7ms", "loss=1%"]\nhandshake_slow = true\n'
    )

    shown = _shown(project)

    assert "'handshake_link': ['delay=7ms', 'loss=1%']" in shown
    assert "'handshake_slow': True" in shown


@pytest.mark.skipif(pytest.version_tuple < (9, 2), reason="earlier releases have no ini keys of several types")
def test_toml_of_its_own_types(project: Project) -> None:
    """In pytest's own table, a number may be a number; an invalid one is refused like a text."""
    project.write(test_it=SHOW)
    settings = project.path / "pyproject.toml"
    settings.write_text("[tool.pytest]\nhandshake_seed = 7\nhandshake_wall_limit = 2.5\n")

    shown = _shown(project)
    settings.write_text("[tool.pytest]\nhandshake_seed = -7\n")
    refused = project.run()

    assert "'handshake_seed': 7" in shown
    assert "'handshake_wall_limit': 2.5" in shown
    refused.stderr.fnmatch_lines(["ERROR: handshake_seed: -7 is not a whole number *"])


@pytest.mark.parametrize(
    ("setting", "error"),
    [
        ("handshake_seed = x", "handshake_seed: 'x' is not a whole number from 0 to 2[*][*]64-1. *handshake_seed = 7"),
        ("addopts = --handshake-seed=-1", "--handshake-seed: '-1' is not a whole number *--handshake-seed=7"),
        ("handshake_lang = kr", "handshake_lang: 'kr' is not a language of the reports: en or ko. *"),
        ("handshake_wall_limit = soon", "handshake_wall_limit: 'soon' is not a positive number of seconds. *"),
        ("handshake_wall_limit = 0", "handshake_wall_limit: '0' is not a positive number of seconds. *"),
        ("handshake_edge_coverage_fail_under = 101", "*: '101' is not a percentage from 0 to 100. *"),
    ],
)
def test_invalid_value(project: Project, setting: str, error: str) -> None:
    """It is refused with the name where it was given, the value, the reason and a correct example."""
    project.write(test_it=SHOW)
    (project.path / "pytest.ini").write_text(f"[pytest]\n{setting}\n")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {error}"])


def test_the_project_s_settings_reach_the_kernel(project: Project) -> None:
    """Seed and links of the ini file hold in the kernel, with workers too; a failed test prints how to run it again."""
    project.write(
        test_it="""
            def test_it(net):
                assert net.rtt == 0
        """
    )
    (project.path / "pytest.ini").write_text("[pytest]\nhandshake_seed = 3\nhandshake_link = delay=7ms\n")

    result = project.run_apart("-n1")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *0.014 == 0", "Run again: pytest test_it.py::test_it --handshake-seed 3 *", "delay=7ms"]
    )


def test_documented() -> None:
    """docs/reference/pytest.md has every option with its ini key, and every marker."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "pytest.md").read_text("utf-8")

    for option in OPTIONS:
        example = f"={option.example}" if option.example else ""
        [row] = [line for line in page.splitlines() if line.startswith(f"| `{option.flag}{'=' if example else '`'}")]
        assert row.startswith(f"| `{option.flag}{example}` | {f'`{option.key}`' if option.ini else ''}"), row
    for marker in MARKERS:
        assert f"| `{re.split('[:(]', marker)[0]}" in page


def test_short_options_get_the_prefix() -> None:
    """``handshake test`` passes its options on with the prefix; messages of the library are spelled for pytest."""
    assert [prefixed(word) for word in ("--slow", "--seed=7", "-k", "slow", "--handshake-slow", "--slower")] == [
        "--handshake-slow", "--handshake-seed=7", "-k", "slow", "--handshake-slow", "--slower",
    ]  # fmt: skip
    assert spelled("Use --kernel lab, or --wall-limit 5") == "Use --handshake-kernel lab, or --handshake-wall-limit 5"
    assert prefixed("--json=out") == "--json=out"
