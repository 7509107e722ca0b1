"""Former options and markers, without the prefix: each fails with the name of its successor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugin.conftest import Project

TEST = """
    def test_it():
        pass
"""


@pytest.mark.parametrize(
    ("words", "successor"),
    [
        (["--kernel=host"], "--handshake-kernel=host"),
        (["--kernel", "host"], "--handshake-kernel=host"),
        (["--seed=7"], "--handshake-seed=7"),
        (["--seeds", "1-50"], "--handshake-seeds=1-50"),
        (["--slow"], "--handshake-slow"),
        (["--link=delay=50ms"], "--handshake-link=delay=50ms"),
        (["--lang=ko"], "--handshake-lang=ko"),
        (["--artifacts=kept"], "--handshake-artifacts=kept"),
        (["--mutate=all"], "--handshake-mutate=all"),
        (["--wall-limit=5"], "--handshake-wall-limit=5"),
        (["--edge-coverage"], "--handshake-edge-coverage"),
        (["--edge-coverage-fail-under=50"], "--handshake-edge-coverage-fail-under=50"),
        (["--edge-coverage-svg=a.svg"], "--handshake-edge-coverage-svg=a.svg"),
    ],
)
def test_former_option(project: Project, words: list[str], successor: str) -> None:
    """The session ends with a usage error that has the successor with the given value, ready to be typed."""
    project.write(test_it=TEST)

    result = project.run(*words)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pytest: * is not an option of pytest; *pytest {successor}"])


def test_former_option_in_the_settings(project: Project) -> None:
    """The same where the option is in ``addopts`` of the ini file; ``--help`` still works."""
    project.write(test_it=TEST)
    (project.path / "pytest.ini").write_text("[pytest]\naddopts = --kernel=host\n")

    result = project.run()

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*pytest --handshake-kernel=host"])
    assert project.run("--help").ret == pytest.ExitCode.OK


def test_unknown_option(project: Project) -> None:
    """An option that was never ours gets pytest's own error alone."""
    project.write(test_it=TEST)

    result = project.run("--kernels=host")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*unrecognized arguments: --kernels=host"])
    result.stderr.no_fnmatch_line("*handshake*")


def test_former_markers(project: Project) -> None:
    """A test that uses ``net`` fails where it has a former marker; a test without ``net`` runs as ever."""
    project.write(
        test_it="""
            import pytest

            @pytest.mark.network(delay="50ms", faults="drop SYN nth=1 from h1")
            def test_network(net):
                pass

            @pytest.mark.slow
            def test_slow(net):
                pass

            @pytest.mark.lossy(loss="30%")
            def test_lossy(net):
                pass

            @pytest.mark.network(delay="50ms")
            @pytest.mark.slow
            def test_without_net():
                pass

            @pytest.mark.network
            def test_needs_the_internet(net):
                pass
        """
    )

    result = project.run("-W", "ignore::pytest.PytestUnknownMarkWarning")

    result.assert_outcomes(failed=3, passed=2)
    result.stdout.fnmatch_lines(
        [
            "test_network: *network' *@pytest.mark.handshake(delay='50ms', faults='drop SYN nth=1 from h1')",
            "test_slow: '@pytest.mark.slow' *@pytest.mark.handshake_slow",
            "test_lossy: '@pytest.mark.lossy' *@pytest.mark.handshake_lossy(loss='30%')",
        ]
    )


def test_former_marker_with_strict_markers(project: Project) -> None:
    """With ``--strict-markers`` pytest refuses the file; its error has the successor, too. Another marker's has not."""
    project.write(
        test_former="""
            import pytest

            @pytest.mark.network(delay="50ms")
            def test_it(net):
                pass
        """,
        test_misspelt="""
            import pytest

            @pytest.mark.skpi
            def test_it():
                pass
        """,
    )

    result = project.run("--strict-markers")

    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "'network' not found in `markers` configuration option",
            "*Instead of @pytest.mark.network, write @pytest.mark.handshake;*",
            "'skpi' not found in `markers` configuration option",
        ]
    )
    assert result.stdout.str().count("Handshake Lab's markers") == 1
