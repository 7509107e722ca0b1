"""On kernels in real time: omitted tests, skipped tests, and tolerances."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from handshake_lab.expect import timer_windows
from handshake_lab.expect.timer_windows import expect_of
from handshake_lab.experiment.scheduling_latency import slowness
from handshake_lab.recording.observations import KernelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAB = KernelInfo(kind="lab", release="7.3.4", hz=100, seed=1)
HOST = KernelInfo(kind="host", release="6.1.0-56-amd64", hz=250, seed=None)
VM = KernelInfo(kind="vm", release="6.1.0-56-amd64", hz=250, seed=None)

SUITE = """
import pytest

from handshake_lab.errors import EnvironmentUnsupported


@pytest.mark.handshake_slow
def test_a_minute(net):
    raise AssertionError("it was run")


def test_what_is_lacking(net):
    raise EnvironmentUnsupported("there is no such thing here", "Take the other.")


def test_what_fails(net):
    assert False
"""


def run_suite(place: Path, *words: str) -> list[str]:
    """What pytest prints for a project with those tests."""
    (place / "test_suite.py").write_text(SUITE)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HANDSHAKE"))}
    command = [sys.executable, "-m", "pytest", "-q", "-rsf", "-p", "no:cacheprovider", *words, str(place)]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def test_on_the_lab_kernel_nothing_is_skipped(tmp_path: Path) -> None:
    """Its time is virtual, and it lacks no feature: a reported lack is a failure."""
    assert run_suite(tmp_path)[-1].startswith("3 failed")


def test_on_a_real_kernel_slow_tests_and_lacks_are_skipped(tmp_path: Path) -> None:
    """With their reasons and remedies; what fails, fails."""
    said = run_suite(tmp_path, "--handshake-kernel", "host")
    if any("does not permit unprivileged namespaces" in line for line in said):
        pytest.skip(
            "this machine does not permit private namespaces: --handshake-kernel=host explains how to allow them"
        )

    assert said[-1].startswith("1 failed, 2 skipped")
    assert any("run it with --handshake-slow, or in virtual time with --handshake-kernel=lab" in line for line in said)
    assert any("there is no such thing here. Take the other." in line for line in said)


@pytest.fixture
def present() -> Iterator[None]:
    """Leave the allowances as they were."""
    yield
    expect_of(LAB)


@pytest.mark.usefixtures("present")
@pytest.mark.parametrize(
    ("kernel", "measured", "late"), [(LAB, 0.0, 0.0), (LAB, 1.0, 0.0), (HOST, 0.0, 0.05), (VM, 0.2, 0.45)]
)
def test_how_late_a_timer_may_be(kernel: KernelInfo, measured: float, late: float) -> None:
    """Real kernels share their processors with others; nothing is ever too early, on any of them."""
    expect_of(kernel, lambda: measured)

    timer = timer_windows.approx_timer(1.0)

    assert timer == 1.0
    assert timer != 0.999
    assert timer == 1.125 + 0.01 + late
    assert timer != 1.125 + 0.01 + late + 0.001


@pytest.mark.usefixtures("present")
def test_a_slower_machine_gets_more_time() -> None:
    """An emulated processor computes twenty times as long."""
    expect_of(VM, lambda: 0.1, 20.0)

    assert timer_windows.approx_trip(0) == 1.199
    assert timer_windows.approx_trip(0) != 1.201


def test_no_machine_is_faster_than_an_ordinary_one() -> None:
    """The allowance is never less than that of an idle machine."""
    assert slowness() >= 1.0


@pytest.mark.usefixtures("present")
def test_a_way_on_a_real_kernel() -> None:
    """The same for segments under way."""
    expect_of(HOST)

    assert timer_windows.approx_trip(0.1) == 0.149
    assert timer_windows.approx_trip(0.1) != 0.151
    assert timer_windows.approx_trip(0.1) != 0.0998


def test_the_pulse_tells_a_stopped_process() -> None:
    """A process that was stopped for half a second was late by that, up to the pace of the measurements."""
    code = (
        "import os, signal, sys, time\n"
        "from handshake_lab.experiment.scheduling_latency import SchedulingLatency\n"
        "with SchedulingLatency() as pulse:\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"
        "    while pulse.late() < 0.4:\n"
        "        time.sleep(0.01)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        assert it.stdin is not None
        assert it.stdout is not None
        it.stdout.readline()
        it.send_signal(signal.SIGSTOP)
        os.waitpid(it.pid, os.WUNTRACED)
        time.sleep(0.5)  # the length of the stop is what is measured
        it.send_signal(signal.SIGCONT)
        it.communicate("\n", timeout=60)

    assert it.returncode == 0
