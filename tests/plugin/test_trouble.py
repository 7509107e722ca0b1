"""Failures: one test fails, with a message that contains a remedy, and the rest of the session continues."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import ctrl_c
from kernel_processes import kernels_of, runs
from polling import comes_true

if TYPE_CHECKING:
    from plugin.conftest import Project


def test_the_time_limit(project: Project) -> None:
    """A test that waits for what never comes fails at its limit in the kernel's time, where it is; others do not."""
    project.write(
        test_it="""
            def test_in_time(net):
                net.sleep(29)

            def test_waits(net):
                net.h2.start(["sleep", "1000"])
                net.h1.connect(net.h2.listen(80)).recv(1)
        """
    )
    result = project.run("--handshake-time-limit=30")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "> *net.h1.connect(net.h2.listen(80)).recv(1)",
            "*the test has taken 30 s of the kernel's time, which is its limit",
            "*h2: 'sleep 1000' waits in clock_nanosleep()",
        ]
    )


def test_kernel_fails(project: Project) -> None:
    """A kernel that panics, spins or runs out of memory fails its own test, with its last words and its record."""
    project.write(
        test_it="""
            import mmap
            from pathlib import Path

            def grow():
                grown = []
                while True:
                    grown.append(mmap.mmap(-1, 1 << 26, flags=mmap.MAP_PRIVATE | mmap.MAP_POPULATE))

            def test_panics(net):
                net.h1.connect(net.h2.listen(80))
                net.record()
                Path("/proc/sys/vm/panic_on_oom").write_text("1")
                grow()

            def test_spins(net):
                while True:
                    pass

            def test_grows(net):
                grow()

            def test_after(net):
                assert net.h1.name == "h1"
        """
    )

    result = project.run("--handshake-wall-limit=5")

    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(
        [
            "the lab kernel ended before its job did*",
            "*| Kernel panic - not syncing: Out of memory*",
            "*ladder*",
            "*SYN seq=0*",
            "the lab kernel was killed after 5 s of wall time: *computes*",
            "*ended before its job did (a process of it was killed for lack of memory)",
            "*| *Out of memory: Killed process*",
        ]
    )


def test_wrong_marker(project: Project) -> None:
    """An invalid marker fails its test with the value, the reason and a correct example, without a traceback."""
    project.write(
        test_it="""
            import pytest

            handshake = pytest.mark.handshake

            @handshake(delay="fast")
            def test_link(net):
                pass

            @handshake(topology="ring")
            def test_topology(net):
                pass

            @handshake(faults="drop SYN from h9")
            def test_fault(net):
                pass

            @handshake(seed=-1)
            def test_seed(net):
                pass

            @handshake("50ms")
            def test_positional(net):
                pass

            @handshake(colour="red")
            def test_unknown(net):
                pass
        """
    )

    result = project.run()

    assert result.parseoutcomes().keys() <= {"failed", "errors"}
    for reported in (
        "pytest.mark.handshake delay: 'fast' *delay=50ms",
        "*'ring' *",
        "*'h9'*",
        "pytest.mark.handshake: '50ms' is a positional argument; the marker takes keywords only. *",
        "pytest.mark.handshake colour: 'red' is not a property of a link; *",
        "pytest.mark.handshake seed: -1 is not a whole number from 0 to 2[*][*]64-1. *",
    ):
        result.stdout.fnmatch_lines([reported])
    result.stdout.no_fnmatch_line("*handshake_lab/*.py*")


def test_fault_that_never_fired(project: Project) -> None:
    """A fault that matched nothing fails the call phase of its test, not the teardown."""
    project.write(
        test_it="""
            import pytest

            @pytest.mark.handshake(faults="drop RST from h1")
            def test_it(net):
                net.h1.connect(net.h2.listen(80))
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the fault 'drop RST from h1' never fired*", "*SYN seq=0*"])


def test_not_collected_inside(project: Project) -> None:
    """A test file that cannot be imported where the kernel is fails its tests with the reason."""
    project.write(
        test_it="""
            import os

            if "HANDSHAKE_INSIDE" in os.environ:
                raise RuntimeError("not here")

            def test_it(net):
                pass
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the test could not be collected in the kernel:", "*RuntimeError: not here"])


def test_other_id_inside(project: Project) -> None:
    """A test whose id differs at each collection gets a message about it."""
    project.write(
        test_it="""
            import os

            import pytest

            @pytest.mark.parametrize("inside", ["HANDSHAKE_INSIDE" in os.environ])
            def test_it(net, inside):
                pass
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the test was not found in the kernel*must have the same ids in each collection"])


def test_too_late(project: Project) -> None:
    """A test that requests net while it runs cannot be dispatched any more; the message names the alternative."""
    project.write(
        test_it="""
            def test_it(request):
                request.getfixturevalue("net")
        """
    )

    result = project.run()

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*net: 'test_it' requests it with getfixturevalue()*usefixtures*"])


def test_another_net(project: Project) -> None:
    """A project's own fixture of that name is left alone; one that is built on ours is not."""
    project.write(
        test_theirs="""
            import os

            import pytest

            @pytest.fixture
            def net():
                return "theirs"

            def test_it(net):
                assert net == "theirs"
                assert "HANDSHAKE_INSIDE" not in os.environ
        """,
        test_ours="""
            import pytest

            @pytest.fixture
            def net(net):
                return net.h1

            def test_it(net):
                assert net.name == "h1"
        """,
    )

    project.run().assert_outcomes(passed=2)


def test_refused(project: Project) -> None:
    """Options that cannot work are refused before the first test, with the reason; tests without `net` can use them."""
    project.write(
        test_it="""
            def test_it(net):
                pass
        """,
        test_other="""
            def test_other():
                pass
        """,
    )

    for words, reported in (
        (["--pdb"], "ERROR: --pdb cannot debug a test that uses `net`*"),
        (["--handshake-kernel=cray"], "ERROR: --handshake-kernel: 'cray' is not a kind of kernel*"),
    ):
        result = project.run(*words)
        assert result.ret == 4
        result.stderr.fnmatch_lines([reported])
    project.run("--pdb", "test_other.py").assert_outcomes(passed=1)


def test_interrupted(project: Project) -> None:
    """Ctrl-C ends the session at once, and leaves no kernel running."""
    project.write(
        test_it="""
            def test_spins(net):
                while True:
                    pass
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        command,
        cwd=project.path,
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=ctrl_c.hear,  # noqa: PLW1509  no threads here
    ) as session:
        assert comes_true(lambda: any(kernels_of(session.pid)))
        kernels = list(kernels_of(session.pid))
        os.killpg(session.pid, signal.SIGINT)
        printed = session.communicate(timeout=60)[0]

    assert session.returncode == 2
    assert "KeyboardInterrupt" in printed
    assert comes_true(lambda: not any(runs(pid) for pid in kernels))


def test_a_setting_that_the_kernel_lacks(project: Project) -> None:
    """The test is skipped with the setting's name, wherever it asks for it; other missing files fail a test."""
    project.write(
        test_it="""
            import pytest

            MISSING = "net.ipv4.tcp_not_yet"

            @pytest.fixture
            def tuned(net):
                net.h2.sysctl(MISSING, 1)
                return net

            def test_reads(net):
                net.h1.sysctl(MISSING)

            def test_sets(net):
                net.h1.sysctl(MISSING, 2)

            def test_in_a_fixture(tuned):
                raise AssertionError("not reached")

            @pytest.mark.handshake(sysctls={MISSING: "1"})
            def test_in_its_marker(net):
                raise AssertionError("not reached")

            def test_catches(net):
                with pytest.raises(FileNotFoundError, match=MISSING):
                    net.h1.sysctl(MISSING)

            def test_other_file(net):
                open("/proc/sys/net/ipv4/tcp_not_yet")

            def test_existing(net):
                assert net.h1.sysctl("net.ipv4.tcp_fin_timeout", 30) == "30"
        """
    )

    result = project.run("-rs")

    result.assert_outcomes(skipped=4, passed=2, failed=1)
    for host in ("h1", "h2"):
        result.stdout.fnmatch_lines([f"SKIPPED *{host}: this kernel has no net.ipv4.tcp_not_yet*"])
    result.stdout.fnmatch_lines(["E *FileNotFoundError*tcp_not_yet*"])
