"""The bundle for a room without internet: packed by one command, installed without a network in an empty home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from handshake_lab.cli.commands.course import command
from handshake_lab.courses.class_bundle import FOLDER
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.errors import EnvironmentUnsupported, UsageError

#: A program in a network namespace that has no network, of an ordinary user too.
WITHOUT_NETWORK = ("unshare", "--map-root-user", "--net")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a bundle with one unit was unpacked."""
    place = tmp_path_factory.mktemp("room")
    unit = new_unit(place / "my-unit").folder
    try:
        made = CliRunner().invoke(
            command,
            ["bundle", str(place / "class.tar"), "--unit", str(unit), "--with", "serve"],
            catch_exceptions=False,
        )
    except EnvironmentUnsupported as error:
        if "No matching distribution found" not in str(error):  # a package that cannot be built is a defect
            raise
        pytest.skip(f"no package index offers what the bundle needs: {str(error)[-200:]}")
    assert made.exit_code == 0
    with tarfile.open(place / "class.tar") as archive:
        archive.extractall(place, filter="data")
    return place


def installed(room: Path, home: Path, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    """Run install.sh without a network, with nothing of this user's environment."""
    prefix = WITHOUT_NETWORK if shutil.which("unshare") else ()
    python = Path(sys.base_prefix) / "bin"
    return subprocess.run(
        [*prefix, "/bin/sh", str(room / FOLDER / "install.sh")],
        env={"HOME": str(home), "PATH": f"{python}:{path}"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_room_without_network(room: Path, tmp_path: Path) -> None:
    """The kernel, the packages and the unit are there: a student starts a unit, whose page needs a run."""
    done = installed(room, tmp_path, os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    place = tmp_path / "handshake-lab"
    started = subprocess.run(
        [*WITHOUT_NETWORK, place / "bin" / "handshake", "course", "start", place / "units" / "my-unit", "--id", "kim"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"], "LANG": "ko_KR.UTF-8"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (place / "bin" / "uvicorn").exists()
    assert "The three-way handshake" in done.stdout
    assert str(place / "units" / "my-unit") in done.stdout
    assert started.returncode == 0, started.stderr
    assert "h2에 연결한다" in (tmp_path / "my-unit" / "README.md").read_text("utf-8")
    assert not (tmp_path / ".cache" / "handshake-lab" / "kernels").exists()


def test_what_a_machine_lacks_is_named(room: Path, tmp_path: Path) -> None:
    """Before anything is installed."""
    (tmp_path / "bin").mkdir()
    for program in ("sh", "dirname", "readlink", "uname"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / "bin" / program).symlink_to(found)
    script = (room / FOLDER / "install.sh").read_text("utf-8").replace("PATH=$PATH:/usr/sbin:/sbin\n", "")
    (tmp_path / "install.sh").write_text(script, "utf-8")
    done = subprocess.run(
        [shutil.which("sh") or "sh", tmp_path / "install.sh"],
        env={"HOME": str(tmp_path), "PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (3, "install.sh: ss is missing: install the package iproute2\n")
    assert not (tmp_path / "handshake-lab").exists()


def test_a_file_is_not_overwritten(room: Path) -> None:
    """Whatever it is."""
    before = (room / "class.tar").read_bytes()

    with pytest.raises(UsageError, match="exists"):
        CliRunner().invoke(command, ["bundle", str(room / "class.tar")], catch_exceptions=False)
    assert (room / "class.tar").read_bytes() == before


def test_a_version_of_python_is_a_version(tmp_path: Path) -> None:
    """It is refused before anything is fetched."""
    with pytest.raises(UsageError, match="is not a version of Python"):
        CliRunner().invoke(command, ["bundle", str(tmp_path / "x.tar"), "--python", "python3"], catch_exceptions=False)
    assert not (tmp_path / "x.tar").exists()
