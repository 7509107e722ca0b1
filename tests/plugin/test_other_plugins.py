"""Tests with ``net`` beside other plugins: each docstring states the effect of the other plugin on such a test."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from kernel_processes import kernels_of, runs
from polling import comes_true

if TYPE_CHECKING:
    from pathlib import Path

    from plugin.conftest import Project

#: A test whose record depends on everything random in its kernel: the port, the sequence numbers, the losses.
RANDOM_LOSS = """
    import random

    import pytest

    @pytest.mark.handshake(delay="20ms", loss="20%")
    def test_transfer(net):
        client = net.h1.connect(net.h2.listen(80))
        client.sendall(bytes(random.randrange(5000, 20000)))
        client.close()

    def test_without_net():
        random.random()

    class TestOthers:
        def test_one(self, net):
            pass

        def test_two(self, net):
            pass
"""


def _events(directory: Path) -> bytes:
    return (directory / "test_it.py-test_transfer" / "events.jsonl").read_bytes()


def test_randomly(project: Project) -> None:
    """pytest-randomly changes the order of the tests and seeds ``random`` of the session; a test in a kernel has its
    random numbers from the kernel's seed alone. Its record is the same, byte for byte, with another order, another
    seed, and without the plugin.
    """
    project.write(test_it=RANDOM_LOSS)
    orders, records = set(), set()

    for number, words in enumerate([("-p", "no:randomly"), ("--randomly-seed=1",), ("--randomly-seed=6",)]):
        result = project.run_with("randomly", "-v", *words, f"--handshake-artifacts=kept{number}")
        result.assert_outcomes(passed=4)
        orders.add(tuple(line.split()[0] for line in result.outlines if line.startswith("test_it.py::")))
        records.add(_events(project.path / f"kept{number}"))

    assert len(orders) == 3
    assert len(records) == 1


def test_randomly_with_workers(project: Project) -> None:
    """The same with pytest-xdist, whose workers all get the order of one seed."""
    project.write(test_it=RANDOM_LOSS)

    project.run_with("randomly", "-p", "no:randomly", "--handshake-artifacts=alone").assert_outcomes(passed=4)
    project.run_with("randomly", "-n2", "--randomly-seed=5", "--handshake-artifacts=both").assert_outcomes(passed=4)

    assert _events(project.path / "alone") == _events(project.path / "both")


SPINNING = """
    import pytest

    def test_spins(net):
        net.h1.connect(net.h2.listen(80))
        net.record()
        while True:
            pass

    def test_waits_an_hour(net):
        net.sleep(3600)
"""


@pytest.mark.parametrize(
    "setting", ["timeout = 8", "timeout = 8\ntimeout_func_only = true"], ids=["whole_test", "function_only"]
)
def test_timeout(project: Project, setting: str) -> None:
    """pytest-timeout counts wall time outside the kernel: a test that spins fails at its limit, with the record up to
    there, and its kernel ends with it; an hour of the kernel's time takes none. The whole run in the kernel counts as
    the test's function, so ``timeout_func_only`` limits it as well.
    """
    project.write(test_it=SPINNING)
    (project.path / "pytest.ini").write_text(f"[pytest]\n{setting}\n")

    result = project.run_with("timeout")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["Timeout (>8.0s) from pytest-timeout.", "*ladder*", "*SYN seq=0*"])


def test_timeout_of_a_marker(project: Project) -> None:
    """The marker of pytest-timeout limits its own test, also where markers must be declared."""
    project.write(
        test_it="""
            import pytest

            @pytest.mark.timeout(6)
            def test_spins(net):
                while True:
                    pass

            @pytest.mark.timeout(60)
            def test_passes(net):
                pass
        """
    )

    result = project.run_with("timeout", "--strict-markers")

    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["Timeout (>6.0s) from pytest-timeout."])


def test_timeout_that_ends_the_session(project: Project) -> None:
    """The method ``thread`` of pytest-timeout ends the whole process at once: no kernel is left running."""
    project.write(test_it=SPINNING)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--timeout=10", "--timeout-method=thread"]
    with subprocess.Popen(
        command, cwd=project.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as session:
        assert comes_true(lambda: any(kernels_of(session.pid)))
        kernels = list(kernels_of(session.pid))
        printed = session.communicate(timeout=60)[0]

    assert session.returncode == 1
    assert "Timeout" in printed
    assert comes_true(lambda: not any(map(runs, kernels)))


#: Fails until the session has counted one rerun: what a kernel sees of the project's files is what is there then.
FLAKY = """
    import os
    from pathlib import Path

    import pytest

    HERE = Path(__file__).parent

    def test_second_time(net):
        mine = Path("/run/mine")
        assert not mine.exists(), "this kernel has run a test before"
        mine.write_text("was here")
        client = net.h1.connect(net.h2.listen(80))
        assert (HERE / "rerun").exists(), "first attempt"

    def test_never(net):
        raise LookupError("always")

    def test_without_net():
        assert True
"""
RERUN_COUNTED = """
    from pathlib import Path

    def pytest_runtest_logreport(report):
        if report.outcome == "rerun":
            Path(__file__).with_name("rerun").touch()
"""


@pytest.mark.parametrize("words", [(), ("-n1",)], ids=["alone", "worker"])
def test_rerunfailures(project: Project, words: tuple[str, ...]) -> None:
    """pytest-rerunfailures runs a failed test again, each time in a new kernel, up to the number of reruns; only the
    last attempt counts, in the summary and in our results. The seed is the same: what depends on the kernel alone fails
    again.
    """
    project.write(conftest=RERUN_COUNTED, test_it=FLAKY)

    result = project.run_with(
        "rerunfailures", "--reruns=2", "--handshake-json=out.json", "--handshake-artifacts=kept", "-rR", *words
    )

    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines_random(["RERUN test_it.py::test_second_time*", "*1 failed, 2 passed, 3 rerun*"])
    found = {each["name"]: each["outcome"] for each in project.json("out.json")["tests"]}
    assert found == {"second_time": "passed", "never": "failed"}
    index = (project.path / "kept" / "index.html").read_text("utf-8")
    assert "1 failed" in index
    assert "1 passed" in index


def test_rerunfailures_of_some(project: Project) -> None:
    """``--only-rerun`` and the marker ``flaky`` choose by the exception in the kernel: its message, name or class."""
    project.write(
        test_it="""
            import pytest

            class MyError(Exception):
                pass

            def test_message(net):
                raise LookupError("try again")

            def test_other_message(net):
                raise LookupError("give up")

            @pytest.mark.flaky(reruns=1, only_rerun=[MyError])
            def test_class(net):
                raise MyError("anything")

            @pytest.mark.flaky(reruns=1, rerun_except=["MyError"])
            def test_exception_by_name(net):
                raise MyError("anything")
        """
    )

    result = project.run_with("rerunfailures", "--reruns=1", "--only-rerun=try again", "-rR", "--strict-markers")

    result.assert_outcomes(failed=4)
    reruns = [line.split("::")[1].split()[0] for line in result.outlines if line.startswith("RERUN")]
    assert sorted(reruns) == ["test_class", "test_message"]


def test_rerunfailures_after_a_kernel_failed(project: Project) -> None:
    """A kernel that ends early is a failure like any other: the test runs again."""
    project.write(
        conftest=RERUN_COUNTED,
        test_it="""
            import os
            from pathlib import Path

            def test_dies_once(net):
                if not Path(__file__).with_name("rerun").exists():
                    os.kill(os.getpid(), 9)
        """,
    )

    result = project.run_with("rerunfailures", "--reruns=1")

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*1 passed, 1 rerun*"])


def test_rerunfailures_without_reruns(project: Project) -> None:
    """If the plugin is installed, but no option of it is used, tests run once."""
    project.write(test_it=FLAKY)

    project.run_with("rerunfailures").assert_outcomes(passed=1, failed=2)


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_asyncio(project: Project, mode: str) -> None:
    """pytest-asyncio runs a coroutine with ``net`` in the kernel: the event loop waits in the kernel's time, and
    asynchronous fixtures can use ``net``.
    """
    project.write(
        test_it="""
            import asyncio
            import time

            import pytest
            import pytest_asyncio

            pytestmark = [pytest.mark.handshake(delay="50ms"), *MARK]

            @pytest_asyncio.fixture
            async def listener(net):
                listener = net.h2.listen(80)
                listener.setblocking(False)
                yield listener
                await asyncio.sleep(10)
                listener.close()

            async def test_both_ends(net, listener):
                loop = asyncio.get_running_loop()

                async def serve():
                    server, _ = await loop.sock_accept(listener)
                    server.setblocking(False)
                    await loop.sock_sendall(server, b"hello")
                    server.close()

                began = loop.time()
                serving = asyncio.create_task(serve())
                client = net.h1.socket()
                client.setblocking(False)
                await loop.sock_connect(client, listener.getsockname())
                assert await loop.sock_recv(client, 10) == b"hello"
                await serving
                assert loop.time() - began == pytest.approx(0.2, abs=0.05)
                await asyncio.sleep(1000)
                assert loop.time() - began > 1000

            async def test_fails(net):
                await asyncio.sleep(0)
                raise AssertionError("in a coroutine")
        """.replace("*MARK", "pytest.mark.asyncio" if mode == "strict" else "")
    )
    (project.path / "pytest.ini").write_text(
        f"[pytest]\nasyncio_mode = {mode}\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )

    result = project.run_with("asyncio", "--strict-markers")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_fails - AssertionError: in a coroutine"])


def test_all_together(project: Project) -> None:
    """Random order, time limits, reruns, coroutines, workers and coverage at once: each does its part."""
    project.write(
        conftest=RERUN_COUNTED,
        mine="""
            def inside():
                return 1

            def never():
                return 2
        """,
        test_it="""
            from pathlib import Path

            import mine
            import pytest

            @pytest.mark.asyncio
            async def test_coroutine(net):
                assert net.h1.connect(net.h2.listen(80))

            @pytest.mark.timeout(90)
            def test_second_time(net):
                mine.inside()
                assert Path(__file__).with_name("rerun").exists()

            def test_without_net():
                pass
        """,
    )
    (project.path / "pytest.ini").write_text(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\naddopts = --strict-markers\n"
    )

    result = project.run_with_all(
        "-n2", "--reruns=1", "--timeout=120", "--randomly-seed=3", "--cov=mine", "--cov-report=term-missing"
    )

    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines_random(["mine.py * 75% * 5", "*3 passed, 1 rerun*"])
