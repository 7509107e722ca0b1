"""Programs of a recorded run are started with fork() by every version of Python."""

from __future__ import annotations

import subprocess

import pytest
from handshake_lab.experiment import run_start


def test_the_switch_of_older_pythons_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is off only in the block."""
    monkeypatch.setattr(subprocess, "_USE_VFORK", True, raising=False)
    with run_start._without_vfork():
        assert vars(subprocess)["_USE_VFORK"] is False
    assert vars(subprocess)["_USE_VFORK"] is True


@pytest.mark.parametrize("given", [None, print])
def test_without_a_switch_a_function_is_called_in_the_child(monkeypatch: pytest.MonkeyPatch, given: object) -> None:
    """From Python 3.14 on; a function that the caller has given is kept."""
    before = vars(subprocess)["_fork_exec"]
    calls = []

    def fork_exec(*arguments: object) -> int:
        calls.append(arguments)
        return 7

    monkeypatch.delattr(subprocess, "_USE_VFORK", raising=False)
    monkeypatch.setattr("_posixsubprocess.fork_exec", fork_exec)
    with run_start._without_vfork():
        assert vars(subprocess)["_fork_exec"](["true"], -1, given) == 7
    assert vars(subprocess)["_fork_exec"] is before
    assert calls == [(["true"], -1, given or run_start._nothing)]
