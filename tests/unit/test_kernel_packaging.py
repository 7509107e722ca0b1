"""Lab kernels that are copied or installed instead of built: archives, wheels, the system's cache."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import lzma
import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from handshake_lab.cli.commands.kernel import command
from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.experiment import user_environment
from handshake_lab.kernel.lab.build import configuration
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.lab.packaging import archive, image_files, released
from handshake_lab.kernel.lab.packaging.wheel import glibc_floor, write_wheel
from handshake_lab.kernel.shared import helper_programs, places
from miniature_builds import build, leftovers, stub

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

__all__ = ["stub"]  # a fixture


@pytest.fixture
def image(tmp_path: Path, stub: Path, monkeypatch: pytest.MonkeyPatch) -> LabKernelImage:
    """A built kernel in miniature, and no other place that could have one."""
    del stub
    monkeypatch.setattr(places, "SYSTEM_CACHE", tmp_path / "system")
    return build(tmp_path)


@pytest.fixture
def for_all_users(tmp_path: Path, image: LabKernelImage, monkeypatch: pytest.MonkeyPatch) -> None:
    """That kernel in the cache for all users, too."""
    digest = archive.export(image, tmp_path / "k.tar.xz")
    monkeypatch.setattr(archive.os, "geteuid", lambda: 0)
    archive.import_(tmp_path / "k.tar.xz", digest, system=True)
    monkeypatch.setattr(places, "is_trusted", lambda _directory: True)


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """Makes this process that of another user, with an empty cache and no compiler."""

    def move() -> Path:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
        monkeypatch.setenv("PATH", "/nonexistent")
        assert LabImages().find() is None
        return tmp_path / "another/handshake-lab"

    return move


def repacked(file: Path, changes: Mapping[str, bytes | None]) -> tuple[Path, str]:
    """An archive with other files in it, and its digest."""
    with tarfile.open(file) as opened:
        files = {entry.name: opened.extractfile(entry).read() for entry in opened}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as written:
        for name, content in {**files, **changes}.items():
            if content is not None:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(content), 0o755
                written.addfile(entry, io.BytesIO(content))
    other = file.with_name("other.tar.xz")
    other.write_bytes(lzma.compress(packed.getvalue()))
    return other, hashlib.sha256(other.read_bytes()).hexdigest()


def test_an_exported_kernel_is_found_where_it_is_imported(
    tmp_path: Path, image: LabKernelImage, elsewhere: Callable[[], Path]
) -> None:
    """The kernel and the programs beside it are the same, and can be started; nothing was compiled."""
    exported = CliRunner().invoke(command, ["export", str(tmp_path / "k.tar.xz")])
    assert exported.exit_code == 0, exported.output
    line = exported.output.splitlines()[-1].split()
    before = {name: image.helper(name).read_bytes() for name in ("seed", "supervisor")}
    root = elsewhere()
    imported = CliRunner().invoke(command, ["import", str(tmp_path / "k.tar.xz"), *line[-2:]])
    assert imported.exit_code == 0, imported.output
    found = LabImages().find()
    assert found is not None
    assert (found.release, found.place) == ("9.8.7", "user")
    assert found.linux.read_bytes() == image.linux.read_bytes()
    assert {name: found.helper(name).read_bytes() for name in before} == before
    assert found.linux.stat().st_mode & 0o777 == found.supervisor.stat().st_mode & 0o777 == 0o755
    assert sorted(entry.name for entry in root.iterdir()) == ["helpers", "kernels", "lock"]
    assert image_files.image_files(found) == image_files.image_files(image)  # it can be handed on


def test_the_same_kernel_makes_the_same_archive(tmp_path: Path, image: LabKernelImage) -> None:
    """Also when it was built at another time, in another directory."""
    first = archive.export(image, tmp_path / "first.tar.xz")
    description = image.directory / "kernel.json"
    about = json.loads(description.read_bytes())
    description.write_text(json.dumps({**about, "built": "2031-01-01T00:00:00+00:00", "seconds": 1}))
    again = LabImages().find()
    assert again is not None
    assert archive.export(again, tmp_path / "again.tar.xz") == first


def test_an_archive_has_what_the_gpl_asks_for(tmp_path: Path, image: LabKernelImage) -> None:
    """The licence, the name of the source, the patches, the changes and the configuration."""
    archive.export(image, tmp_path / "k.tar.xz")
    with tarfile.open(tmp_path / "k.tar.xz") as opened:
        names = opened.getnames()
        source = opened.extractfile("SOURCE.md")
        assert source is not None
        assert image.origin in source.read().decode()
    name = f"9.8.7-{configuration.key()}"
    assert {"GPL-2.0.txt", "configuration.py", f"kernels/{name}/config"} <= set(names)
    assert [each for each in names if each.startswith("patches/")] == sorted(
        f"patches/{patch.name}" for patch in image_files.patch_series.series()
    )


@pytest.mark.parametrize("digest", ["0" * 64, "", "no digest"])
def test_an_archive_that_was_changed_is_refused(tmp_path: Path, image: LabKernelImage, digest: str) -> None:
    """What does not have the digest is not unpacked."""
    archive.export(image, tmp_path / "k.tar.xz")
    with pytest.raises(UsageError, match="is not the SHA-256"):
        archive.import_(tmp_path / "k.tar.xz", digest, system=False)


def test_an_unknown_kernel_needs_its_digest(
    tmp_path: Path, image: LabKernelImage, monkeypatch: pytest.MonkeyPatch, elsewhere: Callable[[], Path]
) -> None:
    """Without one, only the very kernel that this release was tested with is accepted."""
    digest = archive.export(image, tmp_path / "k.tar.xz")
    elsewhere()
    with pytest.raises(UsageError, match=r"does not know.*--sha256 DIGEST"):
        archive.import_(tmp_path / "k.tar.xz", None, system=False)
    name = image_files.directory_name(image)
    linux = hashlib.sha256(image.linux.read_bytes()).hexdigest()
    pinned = tmp_path / "released.json"
    monkeypatch.setattr(released, "KERNELS", pinned)
    pinned.write_text(json.dumps({name: "0" * 64}))
    with pytest.raises(EnvironmentUnsupported, match=r"is not the one that was released.*--sha256 DIGEST"):
        archive.import_(tmp_path / "k.tar.xz", None, system=False)
    # Another compiler makes another kernel of the same name, which its builder may pass on.
    assert archive.import_(tmp_path / "k.tar.xz", digest, system=False).name == name
    pinned.write_text(json.dumps({name: linux}))
    assert archive.import_(tmp_path / "k.tar.xz", None, system=False).name == name


def test_the_digests_of_a_release_are_written(
    tmp_path: Path, image: LabKernelImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the kernel, for archives, and of its wheel, which pip then takes only with these bytes."""
    monkeypatch.setattr("handshake_lab.kernel.lab.packaging.wheel.glibc_floor", lambda _files: (2, 34))
    monkeypatch.setattr(released, "KERNELS", tmp_path / "released.json")
    monkeypatch.setattr(released, "WHEEL", tmp_path / "released-wheel.txt")
    released.main()
    name = image_files.directory_name(image)
    assert released.released() == {name: hashlib.sha256(image.linux.read_bytes()).hexdigest()}
    wheel = write_wheel(image, tmp_path / "wheels")
    words = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-index", "--no-deps"]
    words += ["--ignore-installed", "--find-links", str(wheel.parent), "--require-hashes", "-r", str(released.WHEEL)]
    assert subprocess.run(words, check=False).returncode == 0
    with zipfile.ZipFile(wheel, "a") as opened:
        opened.writestr("handshake_lab_kernel/more.py", "")
    assert subprocess.run(words, check=False, capture_output=True).returncode == 1


def test_what_is_no_archive_is_refused(tmp_path: Path, image: LabKernelImage) -> None:
    """Other files, half of one, one of something else, one that unpacks to far too much."""
    archive.export(image, tmp_path / "k.tar.xz")
    whole = (tmp_path / "k.tar.xz").read_bytes()
    for content in (b"", b"hello", whole[:-100], lzma.compress(b"hello"), lzma.compress(bytes(70 << 20), preset=0)):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(UsageError, match="is not an archive"):
            archive.import_(tmp_path / "bad", hashlib.sha256(content).hexdigest(), system=False)
    with pytest.raises(UsageError, match="cannot be read"):
        archive.import_(tmp_path / "missing", None, system=False)
    with pytest.raises(UsageError, match="exists"):
        archive.export(image, tmp_path / "k.tar.xz")
    with pytest.raises(EnvironmentUnsupported, match="cannot be written"):
        archive.export(image, tmp_path / "missing/k.tar.xz")


@pytest.mark.parametrize("missing", ["linux", "config", "supervisor", "seed.so", "kernel.json"])
def test_an_archive_that_lacks_a_file_is_refused(
    tmp_path: Path, image: LabKernelImage, elsewhere: Callable[[], Path], missing: str
) -> None:
    """Nothing of it reaches the cache."""
    archive.export(image, tmp_path / "k.tar.xz")
    name, helpers = f"kernels/{image_files.directory_name(image)}", f"helpers/{helper_programs.key()}"
    gone = f"{helpers}/{missing}" if missing in {"supervisor", "seed.so"} else f"{name}/{missing}"
    file, digest = repacked(tmp_path / "k.tar.xz", {gone: None})
    root = elsewhere()
    with pytest.raises((EnvironmentUnsupported, UsageError)):
        archive.import_(file, digest, system=False)
    assert not root.exists()


def test_only_the_files_of_a_kernel_are_written(
    tmp_path: Path, image: LabKernelImage, elsewhere: Callable[[], Path]
) -> None:
    """Whatever else an archive holds, and wherever that wants to go, stays in it."""
    archive.export(image, tmp_path / "k.tar.xz")
    name = image_files.directory_name(image)
    hostile = {
        "../evil": b"1",
        "/tmp/evil": b"2",  # noqa: S108
        f"kernels/{name}/../../evil": b"3",
        f"kernels/{name}/more/evil": b"4",
    }
    file, digest = repacked(tmp_path / "k.tar.xz", hostile)
    root = elsewhere()
    archive.import_(file, digest, system=False)
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    assert sorted(entry.name for entry in root.iterdir()) == ["helpers", "kernels", "lock"]


def test_a_kernel_of_another_version_is_neither_exported_nor_imported(
    tmp_path: Path, image: LabKernelImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each side names what to do."""
    digest = archive.export(image, tmp_path / "k.tar.xz")
    monkeypatch.setattr(configuration, "key", lambda: "ffffffffffff")
    with pytest.raises(EnvironmentUnsupported, match="built by another version"):
        archive.export(image, tmp_path / "old.tar.xz")
    with pytest.raises(EnvironmentUnsupported, match="for another version"):
        archive.import_(tmp_path / "k.tar.xz", digest, system=False)


def test_the_system_cache_serves_all_users(
    tmp_path: Path, image: LabKernelImage, elsewhere: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root installs kernels there; users without a kernel find them; only root can remove them."""
    digest = archive.export(image, tmp_path / "k.tar.xz")
    elsewhere()
    monkeypatch.setattr(archive.os, "geteuid", lambda: 1000)
    with pytest.raises(EnvironmentUnsupported, match="Only root"):
        archive.import_(tmp_path / "k.tar.xz", digest, system=True)
    monkeypatch.setattr(archive.os, "geteuid", lambda: 0)
    old = archive.os.umask(0o077)
    try:
        directory = archive.import_(tmp_path / "k.tar.xz", digest, system=True)
    finally:
        archive.os.umask(old)
    monkeypatch.setattr(places, "is_trusted", lambda _directory: True)
    found = LabImages().find()
    assert found is not None
    assert (found.place, found.directory) == ("system", directory)
    assert found.supervisor.is_relative_to(tmp_path / "system")
    for path in (directory, *directory.parents, *directory.iterdir(), found.helpers, found.supervisor):
        if path.is_relative_to(tmp_path / "system"):
            assert path.stat().st_mode & 0o044 == 0o044, path


@pytest.mark.parametrize(("mode", "trusted"), [(0o755, True), (0o700, True), (0o775, False), (0o777, False)])
def test_a_cache_that_others_can_write_is_not_used(tmp_path: Path, mode: int, trusted: bool) -> None:
    """A kernel from there would run with the rights of the user who starts it."""
    directory = tmp_path / "cache"
    assert not places.is_trusted(directory)
    directory.mkdir()
    directory.chmod(mode)
    assert places.is_trusted(directory) == (trusted and directory.stat().st_uid == 0)


def test_a_wheel_is_installed_and_found(
    tmp_path: Path, image: LabKernelImage, elsewhere: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name contains its platform, and it has all required files."""
    monkeypatch.setattr("handshake_lab.kernel.lab.packaging.wheel.glibc_floor", lambda _files: (2, 34))
    wheel = write_wheel(image, tmp_path / "wheels")
    assert wheel.name == f"handshake_lab_kernel-{installed_version('handshake-lab')}-py3-none-manylinux_2_34_x86_64.whl"
    with zipfile.ZipFile(wheel) as opened:
        assert {name.partition("/")[0].partition("-")[0] for name in opened.namelist()} == {"handshake_lab_kernel"}
        modes = {each.filename.rpartition("/")[2]: each.external_attr >> 16 & 0o111 for each in opened.infolist()}
        for entry in opened.namelist():
            opened.extract(entry, tmp_path / "site")
    assert all(modes[program] for program in ("linux", "supervisor", "seed.so"))
    elsewhere()
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.delitem(sys.modules, places.WHEEL_PACKAGE, raising=False)
    found = LabImages().find()
    assert found is not None
    assert (found.release, found.place) == ("9.8.7", "wheel")
    assert found.supervisor.is_relative_to(tmp_path / "site")
    with pytest.raises(UsageError, match="pip uninstall handshake-lab-kernel"):
        LabImages().remove("9.8")


def test_the_same_kernel_makes_the_same_wheel(
    tmp_path: Path, image: LabKernelImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For another user, too: with another umask, other directories, and settings for setuptools."""
    monkeypatch.setattr("handshake_lab.kernel.lab.packaging.wheel.glibc_floor", lambda _files: (2, 34))
    first = write_wheel(image, tmp_path / "first")
    settings = tmp_path / "home/.pydistutils.cfg"
    settings.parent.mkdir()
    settings.write_text("[bdist_wheel]\nbuild-number = 7\n[metadata]\nauthor = someone\n")
    for name, value in {
        "HOME": str(settings.parent),
        "DIST_EXTRA_CONFIG": str(settings),
        "TMPDIR": str(settings.parent),
        "SOURCE_DATE_EPOCH": "1700000000",
        "TZ": "Asia/Seoul",
        "LC_ALL": "ko_KR.UTF-8",
    }.items():
        monkeypatch.setenv(name, value)
    old = os.umask(0o077)
    try:
        again = write_wheel(image, tmp_path / "a directory of another length")
    finally:
        os.umask(old)
    assert again.name == first.name
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(("found", "shown"), [("66.1.1", "66.1.1"), (None, "none")])
def test_setuptools_that_cannot_write_a_wheel_is_reported(
    tmp_path: Path, image: LabKernelImage, monkeypatch: pytest.MonkeyPatch, found: str | None, shown: str
) -> None:
    """Virtual environments of Debian 12 have one that needs another package for it; newer ones have none."""

    def version(name: str) -> str:
        if name == "setuptools" and found is None:
            raise PackageNotFoundError
        return found if name == "setuptools" and found else "0.1.0"

    monkeypatch.setattr("handshake_lab.kernel.lab.packaging.wheel.version", version)
    monkeypatch.setattr("handshake_lab.kernel.lab.packaging.wheel.glibc_floor", lambda _files: (2, 34))
    with pytest.raises(EnvironmentUnsupported, match=f"installed is {shown}"):
        write_wheel(image, tmp_path)


def test_the_oldest_glibc_is_read_from_the_programs() -> None:
    """The highest version that any symbol of any program needs."""
    programs = [
        image_files.ImageFile("a", b"\0GLIBC_2.2.5\0GLIBC_2.34\0", executable=True),
        image_files.ImageFile("b", b"\0GLIBC_2.9\0GLIBC_PRIVATE\0", executable=True),
        image_files.ImageFile("c", b"\0GLIBC_2.99\0"),
    ]
    assert glibc_floor(programs) == (2, 34)


@pytest.mark.usefixtures("for_all_users")
def test_a_user_without_a_home_directory_can_use_what_others_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a run needs the user's cache then."""
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home directory")))
    found = LabImages().find()
    assert found is not None
    assert found.place == "system"
    with pytest.raises(EnvironmentUnsupported, match="no home directory"):
        LabImages().root  # noqa: B018


@pytest.mark.usefixtures("for_all_users")
def test_directories_of_others_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After su, PATH and HOME can lead to what this user may not look at: other places have a kernel and programs."""
    closed = tmp_path / "home of another"
    stat = os.stat

    def refuse(path: str | Path, **options: bool) -> os.stat_result:
        if str(path).startswith(f"{closed}/"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr("os.stat", refuse)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{closed}/cache")
    monkeypatch.setenv("PATH", f"{closed}/bin:/usr/bin")
    found = LabImages().find()
    assert found is not None
    assert found.place == "system"
    assert user_environment.user_directories() == (pathlib.Path("/usr/bin"),)


def test_nothing_is_left_of_an_import(tmp_path: Path, image: LabKernelImage, elsewhere: Callable[[], Path]) -> None:
    """An import over a kernel that is there replaces it."""
    digest = archive.export(image, tmp_path / "k.tar.xz")
    assert leftovers(tmp_path) == []
    archive.import_(tmp_path / "k.tar.xz", digest, system=False)
    assert leftovers(tmp_path) == []
    elsewhere()


def test_a_kernel_that_is_not_there_cannot_be_exported(tmp_path: Path, image: LabKernelImage) -> None:
    """The message lists those that are."""
    result = CliRunner().invoke(command, ["export", str(tmp_path / "k"), "--version", "6.6"])
    assert isinstance(result.exception, UsageError)
    assert image.release in str(result.exception)
