"""Programs find their host's name as the host name of the machine, and it resolves; and what the user has set up."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from handshake_lab.experiment.user_environment import user_directories, user_environment

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab import Net

_NAMES = "import socket; print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))"


def test_each_host_has_its_name(net: Net) -> None:
    """Both to the system call and to a shell."""
    for host in net.hosts:
        assert host.run([sys.executable, "-c", _NAMES]).stdout.split() == [host.name, host.ip]
        assert host.cmd("hostname").strip() == host.name


@pytest.mark.handshake(topology="nat")
def test_a_router_has_its_name(net: Net) -> None:
    """Programs run in routers, too."""
    router = net.network["r1"]
    assert router.run(["hostname"]).stdout.strip() == "r1"


def test_the_locale_and_the_user_of_this_machine_are_not_seen(net: Net) -> None:
    """A run is the same for another user with another language."""
    names = ["LANG", "TZ", "USER", "LOGNAME", "MAIL"]
    seen = net.h1.cmd("; ".join(f"echo {name}=${name}" for name in names)).split()
    assert seen == ["LANG=C.UTF-8", "TZ=", "USER=root", "LOGNAME=root", "MAIL="]


def test_what_finds_the_users_programs_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative directories are made absolute, and all are shown in a kernel."""
    modules, environment = tmp_path / "modules", tmp_path / "venv"
    modules.mkdir()
    (environment / "bin").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "modules")
    monkeypatch.setenv("VIRTUAL_ENV", str(environment))
    monkeypatch.setenv("PATH", f"{environment}/bin:/usr/bin")
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    found = user_environment()
    assert found["PYTHONPATH"] == str(modules)
    assert found["VIRTUAL_ENV"] == str(environment)
    assert found["PATH"].startswith(f"{environment}/bin:/usr/bin:")
    assert "LANG" not in found
    assert {modules, environment, environment / "bin"} <= set(user_directories())
