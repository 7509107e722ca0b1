"""The memory and the clock with which a lab kernel boots."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.kernel.lab import lab_boot
from handshake_lab.kernel.lab.lab_machine import CLOCK_START, USUAL, LabMachine


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01", CLOCK_START),
        ("2026-01-01T00:00:00Z", CLOCK_START),
        ("2026-01-01T09:00:00+09:00", CLOCK_START),
        ("2026-01-02 00:00", CLOCK_START + 86400),
        ("1970-01-01", 0),
    ],
)
def test_a_clock(text: str, seconds: int) -> None:
    """Dates and times, in UTC unless they name a zone."""
    assert LabMachine.of(clock_start=text) == LabMachine(clock_start=seconds)


@pytest.mark.parametrize("text", ["today", "", "2026-13-01", "1969-12-31", "2400-01-01"])
def test_what_is_no_clock(text: str) -> None:
    """The option, the value and an example are named."""
    with pytest.raises(UsageError, match=r"--clock-start.*For example: --clock-start 20"):
        LabMachine.of(clock_start=text)


@pytest.mark.parametrize("memory", [0, -1, 127, 1 << 30])
def test_what_is_no_memory(memory: int) -> None:
    """With too little no run is possible."""
    with pytest.raises(UsageError, match=r"--memory.*MiB"):
        LabMachine.of(memory)


def test_the_default() -> None:
    """Nothing chosen is the usual machine."""
    assert LabMachine.of() == USUAL


@pytest.mark.parametrize("kernel", ["host", "vm"])
def test_other_kernels_have_their_own(kernel: str) -> None:
    """It is not ignored in silence."""
    with pytest.raises(UsageError, match="its own clock and memory"):
        choose_kernel(kernel, 1, machine=LabMachine(memory=1024))


@pytest.mark.parametrize(
    ("release", "trusts"),
    [("6.1.192", True), ("5.15.3", True), ("6.2.0", False), ("6.12.117", False), ("7.3.4", False)],
)
def test_a_kernel_that_distrusts_its_seed_has_to_trust_it(release: str, trusts: bool) -> None:
    """Otherwise it waits for random numbers without end; newer ones keep their command line, on which theirs depend."""
    image = SimpleNamespace(linux="linux", forks=False, release=release)

    assert ("random.trust_cpu=on" in lab_boot._command(image, USUAL)) is trusts  # type: ignore[arg-type]
