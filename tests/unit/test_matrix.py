"""Scenarios on several kernels side by side: which kernels are meant, and what counts as a difference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from handshake_lab.checkout.scenarios import kernel_matrix
from handshake_lab.checkout.scenarios.kernel_matrix import Column
from handshake_lab.errors import UsageError
from handshake_lab.recording.observations import KernelInfo
from handshake_lab.report.export.scenario_documents import MatrixCell

OLD = KernelInfo(kind="lab", release="6.1.192", hz=250, seed=1)
NEW = KernelInfo(kind="lab", release="7.3.4", hz=250, seed=1)
STOCK = KernelInfo(kind="vm", release="6.1.0-56-amd64", hz=250, seed=None)


def cell(segments: int, seconds: float, outcome: Any = "passed") -> MatrixCell:
    """A scenario's outcome."""
    return MatrixCell(outcome, segments, seconds)


def scenarios(*names: str) -> list[Any]:
    """Rows of the catalogue."""
    what = "RFC 9293, 3.5: a|b. And more."
    return [SimpleNamespace(number=number, name=name, what=what) for number, name in enumerate(names, 1)]


def test_kernels_are_named_as_one_thinks_of_them() -> None:
    """A version is a lab kernel's; everything else is what --kernel takes."""
    assert kernel_matrix.kernels("6.1, newest,vm:stock,host,lab:6.12") == [
        "lab:6.1",
        "lab",
        "vm:stock",
        "host",
        "lab:6.12",
    ]


@pytest.mark.parametrize(
    ("text", "reason"), [("6.1,,newest", "lacks a kernel"), ("6.1,lab:6.1", "twice"), ("", "lacks a kernel")]
)
def test_nonsense_is_refused(text: str, reason: str) -> None:
    """With a right example."""
    with pytest.raises(UsageError, match=rf"{reason}.*--kernels 6\.1,newest,vm:stock"):
        kernel_matrix.kernels(text)


@pytest.mark.parametrize(
    ("kernel", "other", "same"),
    [
        (NEW, cell(7, 61.4), True),
        (NEW, cell(8, 61.4), False),
        (NEW, cell(7, 69.0), True),  # a timer of 60 s may take 67.5 s
        (NEW, cell(7, 69.3), False),
        (STOCK, cell(7, 69.3), True),  # and a busy machine some time more
        (STOCK, cell(7, 70.0), False),
    ],
)
def test_what_counts_as_a_difference(kernel: KernelInfo, other: MatrixCell, *, same: bool) -> None:
    """Segments to the last one; times as far as kernel timers may differ."""
    assert kernel_matrix.alike(Column(OLD, {"x": cell(7, 61.4)}), Column(kernel, {"x": other}), "x") is same


def test_the_document() -> None:
    """Numbers are in the first column, and in others if they differ; a skipped scenario has none."""
    wanted = scenarios("same", "other", "slow", "wrong")
    columns = [
        Column(
            OLD, {"same": cell(3, 0.15), "other": cell(7, 1.0), "slow": cell(9, 61.0), "wrong": cell(2, 0.1, "failed")}
        ),
        Column(
            STOCK,
            {
                "same": cell(3, 0.16),
                "other": cell(9, 1.0),
                "slow": cell(0, 0, "skipped"),
                "wrong": cell(2, 0.1, "failed"),
            },
        ),
    ]

    lines = kernel_matrix.markdown(columns, wanted, "the command").splitlines()

    assert "| | scenario | 6.1.192 (lab) | 6.1.0-56-amd64 (vm) |" in lines
    assert "| 1 | same | ✓ 3 segments, 0.15 s | ✓ |" in lines
    assert "| 2 | other | ✓ 7 segments, 1 s | ✓ 9 segments, 1 s | RFC 9293, 3.5: a\\|b. |" in lines
    assert "| 2 | other | ✓ 7 segments, 1 s | ✓ 9 segments, 1 s |" in lines
    assert "| 3 | slow | ✓ 9 segments, 61 s | - |" in lines
    assert "| 4 | wrong | ✗ 2 segments, 0.1 s | ✗ |" in lines
    assert "1 of 4 scenarios differ between these kernels." in lines
    assert "- Linux 6.1.0-56-amd64 (vm), HZ=250: 2 as documented, 1 not as documented, 1 not run" in lines
