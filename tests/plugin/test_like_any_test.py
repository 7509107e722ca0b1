"""A test that runs in a kernel of its own is like any test: what pytest does with tests, it does with these."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from plugin.conftest import Project


def test_outcomes(project: Project) -> None:
    """Pass, fail, error, skip, xfail, parameters, classes, fixtures on top of net, conftest: one line each."""
    project.write(
        conftest="""
            import pytest

            @pytest.fixture
            def pair(net):
                listener = net.h2.listen(80)
                client = net.h1.connect(listener)
                yield client, listener.accept()[0]
                client.close()

            @pytest.fixture
            def broken(net):
                raise RuntimeError("in a fixture")
        """,
        test_outcomes="""
            import pytest

            def test_without_net():
                pass

            @pytest.mark.parametrize("text", [b"a", b"ab"], ids=["one", "two words: ü"])
            def test_fixtures(pair, text, tmp_path, capsys):
                client, server = pair
                client.sendall(text)
                print(server.recv(10))
                assert capsys.readouterr().out == f"{text}\\n"
                (tmp_path / "file").write_bytes(text)

            class TestClass:
                @pytest.fixture(autouse=True)
                def _prepare(self, net):
                    self.net = net

                def test_method(self):
                    assert self.net.h1.name == "h1"

            def test_fails(net):
                assert net.h1.name == "h2"

            def test_error(broken):
                pass

            def test_skips(net):
                pytest.skip("no reason")

            @pytest.mark.skipif("sys.platform == 'linux'", reason="not here")
            def test_skipif(net):
                raise AssertionError

            @pytest.mark.xfail(reason="known")
            def test_xfail(net):
                raise AssertionError

            @pytest.mark.xfail(strict=True)
            def test_xpass(net):
                pass
        """,
    )

    result = project.run("-rA", "-q")

    result.assert_outcomes(passed=4, failed=2, errors=1, skipped=2, xfailed=1)
    result.stdout.fnmatch_lines_random(
        [
            "PASSED test_outcomes.py::test_fixtures[[]two words: *[]]",
            "PASSED test_outcomes.py::TestClass::test_method",
            "FAILED test_outcomes.py::test_fails - *",
            "FAILED test_outcomes.py::test_xpass - [[]XPASS(strict)[]]*",
            "ERROR test_outcomes.py::test_error - RuntimeError: in a fixture",
            "SKIPPED * test_outcomes.py:*: no reason",
            "XFAIL test_outcomes.py::test_xfail - known",
        ]
    )


def test_subtests(project: Project) -> None:
    """Each is reported; one that fails fails its test and shows the ladder, one that is skipped does neither.

    (What pytest itself says of a TestCase in which subtests failed is that it passed.)
    """
    project.write(
        test_it="""
            import unittest

            import pytest

            def test_one_fails(net, subtests):
                client = net.h1.connect(net.h2.listen(80))
                for number in range(3):
                    with subtests.test("round", number=number):
                        assert number != 1

            def test_one_is_skipped(net, subtests):
                with subtests.test("first"):
                    pytest.skip("not this one")

            @pytest.mark.usefixtures("net")
            class TestCase(unittest.TestCase):
                def test_two_fail(self):
                    for number in range(3):
                        with self.subTest(number=number):
                            self.assertEqual(number, 1)
        """
    )

    result = project.run("-v", "--durations=0", "--handshake-json=results.json")

    reported = json.loads((project.path / "results.json").read_text())
    assert [each["outcome"] for each in reported["tests"]] == ["failed", "passed", "failed"]
    assert (reported["passed"], reported["failed"]) == (1, 2)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_one_fails SUBPASSED[[]round[]] (number=*0*)*",
            "test_it.py::test_one_fails SUBFAILED[[]round[]] (number=*1*)*",
            "test_it.py::test_one_fails FAILED*",
            "test_it.py::test_one_is_skipped SUBSKIPPED[[]first[]] (not this one)*",
            "test_it.py::test_one_is_skipped PASSED*",
            "test_it.py::TestCase::test_two_fail SUBFAILED(number=*0*)*",
            "*ladder*",
            "*SYN seq=0*",
            "contains 1 failed subtest",
            "FAILED test_it.py::test_one_fails - contains 1 failed subtest",
        ]
    )
    slowest = result.stdout.str().partition("slowest durations")[2]
    assert re.findall(r"^(?!0\.00s).*call +(\S+)", slowest, re.MULTILINE), "a whole test takes its time, not a part"


def test_failure_tells_everything(project: Project) -> None:
    """A failure has pytest's own explanation, what was printed and logged, the ladder, its files, and the way back."""
    project.write(
        test_it="""
            import logging
            import warnings

            def test_states(net):
                print("to standard output")
                logging.getLogger("mine").warning("to the log")
                warnings.warn("careful", UserWarning)
                client = net.h1.connect(net.h2.listen(80))
                assert net.history(client).states == ["CLOSED", "LISTEN"]
        """
    )

    result = project.run("--handshake-seed=7", "--handshake-link=delay=200ms")

    kept = project.path / "handshake-artifacts" / "test_it.py-test_states"
    result.assert_outcomes(failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            '>       assert net.history(client).states == [[]"CLOSED", "LISTEN"[]]',
            "E*recorded: CLOSED → SYN-SENT → ESTABLISHED",
            "E*expected: CLOSED → LISTEN",
            "E*first difference at state 2: SYN-SENT instead of LISTEN",
            "test_it.py:9: AssertionError",
            "*Captured stdout call*",
            "to standard output",
            "*Captured log call*",
            "*to the log",
            "*ladder*",
            "*SYN seq=0*",
            "  ! LISTEN * expected here, not reached",
            "Run again: pytest test_it.py::test_states --handshake-seed 7 --handshake-link",
            "delay=200ms",
            "*record*",
            "*handshake show handshake-artifacts/test_it.py-test_states",
            "*warnings summary*",
            "*UserWarning: careful",
        ]
    )
    assert sorted(file.name for file in kept.iterdir()) == ["capture.pcapng", "events.jsonl", "index.html"]


def test_choosing_and_stopping(project: Project) -> None:
    """-k chooses, -x stops, --lf runs what failed last time: the controller selects the tests."""
    project.write(
        test_it="""
            def test_one(net):
                pass

            def test_two(net):
                assert not net.h1.name

            def test_three(net):
                pass
        """
    )

    project.run("-k", "one or three").assert_outcomes(passed=2, deselected=1)
    stopped = project.run("-x")
    stopped.assert_outcomes(passed=1, failed=1)
    stopped.stdout.fnmatch_lines(["*stopping after 1 failures*"])
    project.run("--lf").assert_outcomes(failed=1)


def test_junit(project: Project) -> None:
    """JUnit's file has every test, with this machine's time, and its properties."""
    project.write(
        test_it="""
            def test_passes(net, record_property):
                record_property("mine", "yes")
                net.sleep(1000)

            def test_fails(net):
                raise AssertionError("because")
        """
    )

    project.run("--junit-xml=out.xml")

    suite = ET.parse(project.path / "out.xml").getroot()[0]  # noqa: S314 -- pytest wrote it
    passed, failed = suite.findall("testcase")
    properties = {each.get("name"): each.get("value") for each in passed.iter("property")}
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert 0 < float(passed.get("time", "0")) < 100
    assert properties["mine"] == "yes"
    assert float(str(properties["handshake_tcp_seconds"])) > 1000
    assert "because" in str(failed.find("failure").get("message"))


def test_uncaptured(project: Project) -> None:
    """With -s, what a test prints is shown as it is, and not again where it fails."""
    project.write(
        test_it="""
            def test_prints(net):
                print("seen", net.h1.name)
                raise AssertionError
        """
    )

    result = project.run("-s")

    assert result.stdout.str().count("seen h1") == 1


def test_coverage(project: Project) -> None:
    """pytest-cov counts the lines that ran in kernels together with those of the controller."""
    project.write(
        mine="""
            def outside():
                return 1

            def inside():
                return 2

            def never():
                return 3
        """,
        test_it="""
            import mine

            def test_outside():
                mine.outside()

            def test_inside(net):
                mine.inside()
        """,
    )

    result = project.run_apart("--cov=mine", "--cov-report=term-missing")

    result.stdout.fnmatch_lines(["mine.py * 83% * 8"])


def test_side_by_side(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two workers give what one gives, to the byte, and so does another place with more in it: a test's record does
    not depend on what ran before or beside it, nor on where it lies.
    """
    project.write(
        test_it="""
            import pytest

            @pytest.mark.handshake(delay="20ms", loss="20%")
            @pytest.mark.parametrize("size", [10, 20_000])
            def test_transfer(net, size):
                listener = net.h2.listen(80)
                client = net.h1.connect(listener)
                server, _ = listener.accept()
                client.sendall(bytes(size))
                client.close()
                while server.recv(4096):
                    pass

            def test_after():
                pass
        """
    )

    kept = tmp_path_factory.mktemp("kept")

    alone = project.run(f"--handshake-artifacts={kept / 'alone'}", "-k", "20000", "-p", "no:cacheprovider")
    both = project.run_apart(
        f"--handshake-artifacts={kept / 'both'}", "-n2", "--handshake-edge-coverage", "-p", "no:cacheprovider"
    )

    deeper = project.path / "another" / "place" / "altogether"
    deeper.mkdir(parents=True)
    shutil.copy(project.path / "test_it.py", deeper)
    for number in range(20):
        (deeper / f"unrelated_{number}.py").touch()
    moved = project.run_apart(
        f"--handshake-artifacts={kept / 'moved'}", f"--rootdir={deeper}", "-p", "no:cacheprovider", deeper
    )

    alone.assert_outcomes(passed=1, deselected=2)
    both.assert_outcomes(passed=3)
    moved.assert_outcomes(passed=3)
    both.stdout.fnmatch_lines(["*edge coverage: *", "✓ 1 *", "TCP time *"])
    name = "test_it.py-test_transfer[20000]/events.jsonl"
    record = (kept / "alone" / name).read_bytes()
    assert record == (kept / "both" / name).read_bytes()
    assert record == (kept / "moved" / name).read_bytes()


def test_settings_of_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The project's own settings hold in the kernel: ini options, its conftest's options, its environment and path."""
    (project.path / "pytest.ini").write_text(
        "[pytest]\naddopts = --strict-markers --strict-config -p no:cacheprovider\n"
        "markers =\n    mine: of this project\npythonpath = lib\nfilterwarnings = error\nconsole_output_style = count\n"
    )
    (project.path / "lib").mkdir()
    (project.path / "lib" / "helper.py").write_text("VALUE = 5\n")
    project.write(
        conftest="""
            def pytest_addoption(parser):
                parser.addoption("--flavour", default="plain")
        """,
        test_it="""
            import os

            import helper
            import pytest

            @pytest.mark.mine
            def test_settings(net, request):
                assert request.config.getoption("--flavour") == "sweet"
                assert os.environ["MY_SETTING"] == "on"
                assert os.environ["HOME"] == "/tmp"
                assert helper.VALUE == 5
        """,
    )

    monkeypatch.setenv("MY_SETTING", "on")
    project.run_apart("--flavour=sweet").assert_outcomes(passed=1)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_made_today(project: Project) -> None:
    """It is valid at the clock that is chosen, and not yet at the usual one, which is earlier."""
    names = ["-subj", "/CN=h2", "-addext", "subjectAltName=DNS:h2", "-days", "1"]
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        *names,
    ]
    subprocess.run(make, cwd=project.path, check=True, capture_output=True)
    project.write(
        test_it="""
            import ssl
            import threading

            def test_tls(net):
                served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                served.load_cert_chain("cert.pem", "key.pem")
                trusted = ssl.create_default_context(cafile="cert.pem")
                listener = net.h2.listen(443)

                def serve():
                    with served.wrap_socket(listener.accept()[0], server_side=True) as secured:
                        secured.sendall(b"hello")

                thread = threading.Thread(target=serve, daemon=True)
                thread.start()
                with trusted.wrap_socket(net.h1.connect(listener), server_hostname="h2") as secured:
                    assert secured.recv(5) == b"hello"
        """
    )
    now = datetime.now(UTC) + timedelta(hours=1)

    project.run(f"--handshake-clock-start={now.isoformat(timespec='seconds')}").assert_outcomes(passed=1)
    early = project.run()
    early.assert_outcomes(failed=1)
    early.stdout.fnmatch_lines(["*certificate is not yet valid*"])
