"""The bundle for a room without internet: packed by one command, installed without a network in an empty home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from click.testing import CliRunner
from handshake_lab.cli.commands.course import command
from handshake_lab.courses import class_bundle
from handshake_lab.courses.class_bundle import FOLDER, missing_requirements, write_bundle
from handshake_lab.courses.new_unit import new_unit
from handshake_lab.errors import EnvironmentUnsupported, UsageError

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

#: A program in a network namespace that has no network, of an ordinary user too.
WITHOUT_NETWORK = ("unshare", "--map-root-user", "--net")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a bundle with one unit was unpacked."""
    place = tmp_path_factory.mktemp("room")
    unit = new_unit(place / "my-unit").folder
    (unit / "mended-server.py").write_text("", "utf-8")
    try:
        made = CliRunner().invoke(
            command,
            ["bundle", str(place / "class.tar"), "--unit", str(unit), "--with", "serve"],
            catch_exceptions=False,
        )
    except EnvironmentUnsupported as error:
        # A package that cannot be built is a defect, and so is a wheel of this project that does not fit.
        if "No matching distribution found" not in str(error) or "handshake-lab" in str(error):
            raise
        pytest.skip(f"no package index offers what the bundle needs: {str(error)[-200:]}")
    assert made.exit_code == 0
    subprocess.run(["tar", "-xf", place / "class.tar"], cwd=place, check=True)
    return place


def installed(room: Path, home: Path, *words: str, path: str = "/usr/bin:/bin") -> subprocess.CompletedProcess[str]:
    """Run install.sh without a network, with nothing of this user's environment."""
    python = Path(sys.base_prefix) / "bin"
    return subprocess.run(
        [*WITHOUT_NETWORK, "/bin/sh", str(room / FOLDER / "install.sh"), *words],
        env={"HOME": str(home), "PATH": f"{python}:{path}"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_room_without_network(room: Path, tmp_path: Path) -> None:
    """The kernel, the packages and the unit are there: a student starts a unit, whose page needs a run."""
    done = installed(room, tmp_path, "here", path=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    place = tmp_path / "here"
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
    assert f"PATH={place}/bin:" in done.stdout
    assert not (place / "units" / "my-unit" / "mended-server.py").exists()
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


def test_the_words_of_the_installer(tmp_path: Path) -> None:
    """An option is not a directory."""
    script = class_bundle._FILES / "install.sh"
    done = subprocess.run(["/bin/sh", script, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (2, "usage: sh install.sh [DIRECTORY]\n")
    assert not list(tmp_path.iterdir())


IMAGE = cast("LabKernelImage", None)


def test_units_with_one_name(tmp_path: Path) -> None:
    """They are refused before anything is fetched."""
    units = [new_unit(tmp_path / each / "my-unit") for each in ("a", "b")]

    with pytest.raises(UsageError, match="several units with the name my-unit"):
        write_bundle(tmp_path / "x.tar", IMAGE, units)
    assert not (tmp_path / "x.tar").exists()


def test_a_failure_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit that is not there any more: the message names it; a directory that is none: the message names the file."""
    unit = new_unit(tmp_path / "my-unit")
    shutil.rmtree(unit.folder)
    (tmp_path / "afile").touch()
    monkeypatch.setattr(class_bundle, "_collect", lambda *_: None)

    with pytest.raises(EnvironmentUnsupported, match=r"could not be packed: .*my-unit"):
        write_bundle(tmp_path / "x.tar", IMAGE, [unit])
    with pytest.raises(UsageError, match="cannot be written"):
        write_bundle(tmp_path / "afile" / "x.tar", IMAGE, [])
    assert [each.name for each in tmp_path.iterdir()] == ["afile"]


def test_what_another_python_needs() -> None:
    """The conditions of requirements are those of that version, also of dependencies and of extras."""
    metadata = {
        "lab": ["Some_Server>=1; extra == 'serve'", "other; extra == 'docs'", "first"],
        "some-server": ["first[fast]", "typing-extensions>=4; python_version < '3.13'"],
        "first": ["second; extra == 'fast' and python_full_version >= '3.12'"],
    }

    assert missing_requirements(metadata, "lab[serve]==1", "3.11") == {"typing-extensions>=4"}
    assert missing_requirements(metadata, "lab[serve]==1", "3.12") == {"typing-extensions>=4", "second"}
    assert missing_requirements(metadata, "lab[serve]==1", "3.13") == {"second"}
    assert missing_requirements(metadata, "lab==1", "3.13") == set()
