"""Projects with options, markers and packages of their own: the installed plugin changes nothing of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugin.conftest import Project

#: Options that the plugin once had without its prefix, as a project might define them.
CONFTEST = """
    def pytest_addoption(parser):
        for name in ("seed", "link", "kernel", "lang", "artifacts", "seeds", "mutate", "wall-limit", "edge-coverage"):
            parser.addoption(f"--{name}", default="theirs")
        parser.addoption("--slow", action="store_true")
        parser.addini("seed", "theirs")

    def pytest_configure(config):
        config.addinivalue_line("markers", "slow: left out without --slow")
        config.addinivalue_line("markers", "network(host=None, delay=None): needs the internet")
        config.addinivalue_line("markers", "lossy(codec): compresses with loss")

    def pytest_collection_modifyitems(config, items):
        if not config.option.slow:
            left_out = [item for item in items if item.get_closest_marker("slow")]
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]
"""

TESTS = """
    import os
    import random

    import pytest

    NAMES = ("seed", "link", "kernel", "lang", "artifacts", "seeds", "mutate", "wall-limit", "edge-coverage")

    def test_without_net(request):
        assert "HANDSHAKE_INSIDE" not in os.environ
        assert [request.config.getoption(f"--{name}") for name in NAMES] == EXPECTED

    def test_with_net(request, net):
        assert "HANDSHAKE_INSIDE" in os.environ
        assert [request.config.getoption(f"--{name}") for name in NAMES] == EXPECTED

    @pytest.mark.slow
    @pytest.mark.network(host="example.org")
    @pytest.mark.lossy("mp3")
    def test_markers(net):
        assert net.rtt == pytest.approx(0.02)

    @pytest.mark.network(delay="1s")
    @pytest.mark.handshake(delay="30ms")
    def test_our_marker_beside_theirs(net):
        assert net.rtt == pytest.approx(0.06)

    @pytest.mark.network
    def test_bare_marker(net):
        assert net.h1.name == "h1"
"""


def test_options_and_markers_of_the_same_names(project: Project) -> None:
    """A conftest file defines every option and marker that ours was once called, with its own meaning: its options have
    its values in tests with and without ``net``, its markers select its tests, and none of them reaches a kernel.
    """
    given = ["--seed=a", "--link=b", "--kernel=c", "--lang=d", "--artifacts=e", "--seeds=f", "--mutate=g"]
    given += ["--wall-limit=h", "--edge-coverage=i"]
    project.write(conftest=CONFTEST, test_it=f"    EXPECTED = {list('abcdefghi')}\n{TESTS.replace('0.02', '0.0')}")

    result = project.run_apart("--strict-markers", *given)
    slow = project.run_apart("--strict-markers", *given, "--slow", "--handshake-link=delay=5ms", "-k", "test_markers")

    result.assert_outcomes(passed=4, deselected=1)
    slow.assert_outcomes(failed=1, deselected=4)
    slow.stdout.fnmatch_lines(["E *0.01*"])


def test_options_of_the_same_names_with_workers(project: Project) -> None:
    """The same with pytest-xdist: its workers pass a project's options on as they are."""
    project.write(conftest=CONFTEST, test_it=f"    EXPECTED = {['theirs'] * 9}\n{TESTS}")

    project.run_apart("-n2", "-k", "with_net or without_net").assert_outcomes(passed=2)


def test_options_that_resemble_those_of_other_plugins(project: Project) -> None:
    """Options such as ``--loops`` and ``--coverage-of`` begin like pytest-xdist's and pytest-cov's: a test with ``net``
    sees the values that were given, not the defaults.
    """
    project.write(
        conftest="""
            def pytest_addoption(parser):
                parser.addoption("--loops", type=int, default=1)
                parser.addoption("--coverage-of", default="")
                parser.addoption("--distance", default="short")
        """,
        test_it="""
            def test_values(request, net):
                option = request.config.option
                assert (option.loops, option.coverage_of, option.distance) == (3, "earth", "far")
        """,
    )

    project.run("--loops=3", "--coverage-of=earth", "--distance=far").assert_outcomes(passed=1)


def test_no_abbreviations(project: Project) -> None:
    """An option of the project that is the beginning of one of ours keeps its own value."""
    project.write(
        conftest="""
            def pytest_addoption(parser):
                parser.addoption("--handshake", default="firm")
        """,
        test_it="""
            def test_value(request):
                assert request.config.getoption("--handshake") == "weak"
                assert request.config.option.handshake_kernel == "lab"
        """,
    )

    project.run("--handshake=weak").assert_outcomes(passed=1)


@pytest.mark.parametrize("name", ["harness", "topologies", "handshake"])
def test_a_package_of_the_same_name(project: Project, name: str) -> None:
    """A project may call its package like a folder of this repository: with and without a kernel it imports its own."""
    package = project.path / name
    package.mkdir()
    (package / "__init__.py").write_text("VALUE = 'theirs'\n")
    (package / "part.py").write_text(f"from {name} import VALUE\n")
    project.write(
        test_it=f"""
            from {name} import part

            def test_without_net():
                assert part.VALUE == "theirs"

            def test_with_net(net):
                assert part.VALUE == "theirs"
                assert net.h1.connect(net.h2.listen(80))
        """
    )

    (project.path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    project.run_apart().assert_outcomes(passed=2)


def test_a_session_without_net(project: Project) -> None:
    """A project that does not use the fixture sees no line, file or report property of ours; nothing but the plugin's
    hooks, options and fixtures, and the names of kernels, is imported.
    """
    project.write(
        test_it="""
            import sys

            OURS = ("handshake_lab.pytest_plugin", "handshake_lab.errors")
            NAMES = ["handshake_lab.kernel", "handshake_lab.kernel.shared", "handshake_lab.kernel.shared.kernel_name"]

            def test_it(record_property):
                record_property("mine", 1)
                loaded = [name for name in sys.modules if name.startswith("handshake_lab.")]
                assert all(name.startswith(OURS) or name in NAMES for name in loaded)
                assert "msgspec" not in sys.modules
        """
    )

    result = project.run_apart("-q", "--junit-xml=out.xml", "-p", "no:cacheprovider")

    result.assert_outcomes(passed=1)
    assert "handshake" not in "\n".join(result.outlines[1:] + result.errlines)
    assert "handshake" not in (project.path / "out.xml").read_text()
    assert not list(project.path.glob("handshake*"))
