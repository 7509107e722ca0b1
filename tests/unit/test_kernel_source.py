"""A kernel's source: what a user may give, its release, and unpacking it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import KernelSourceMissing, UsageError
from handshake_lab.kernel.lab.build.source import given, unpack
from handshake_lab.kernel.packages.kernel_source import Source, SourceKind
from handshake_lab.kernel.packages.releases import Release, release_of, version_order
from handshake_lab.kernel.shared.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = "# SPDX\nVERSION = {0}\nPATCHLEVEL = {1}\nSUBLEVEL = {2}\nEXTRAVERSION ={3}\nNAME = Fish\n"


def make_tree(place: Path, *, version: tuple[str, str, str, str] = ("9", "8", "7", "")) -> Path:
    """A kernel source tree in miniature, with things that a lab kernel does not need."""
    for name, text in {
        "Makefile": MAKEFILE.format(*version),
        "arch/um/Kconfig": "config HZ\n\tint\n\tdefault 100\n",
        "arch/arm/Kconfig": "config ARM\n",
        "arch/arm/kernel.c": "int arm;\n",
        "drivers/gpu/drm/Kconfig": "config DRM\n",
        "drivers/gpu/drm/drm.c": "int drm;\n",
        "net/tcp.c": "int tcp;\n",
        "net/tcp.o": "object",
        "Documentation/Kconfig": "config DOC\n",
        "Documentation/net/tcp.rst": "words\n",
    }.items():
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place


def names(tree: Path) -> set[str]:
    """All files of a tree."""
    return {str(file.relative_to(tree)) for file in tree.rglob("*") if file.is_file()}


NEEDED = {
    "Makefile",
    "arch/um/Kconfig",
    "arch/arm/Kconfig",
    "drivers/gpu/drm/Kconfig",
    "net/tcp.c",
    "Documentation/Kconfig",
}


@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tar.xz", "tar.bz2"])
def test_a_tarball_is_unpacked_without_what_is_never_built(tmp_path: Path, ending: str) -> None:
    """Kconfig files stay, because the build reads all of them; sources of other machines do not."""
    make_tree(tmp_path / "linux-9.8.7")
    tarball = tmp_path / f"linux.{ending}"
    subprocess.run(["tar", "-caf", tarball, "-C", tmp_path, "linux-9.8.7"], check=True)
    into = tmp_path / "into"
    into.mkdir()

    tree = unpack(given(str(tarball)), into, Silent())

    assert tree == into / "linux-9.8.7"
    assert names(tree) == NEEDED


def test_a_tree_is_copied_and_left_alone(tmp_path: Path) -> None:
    """Building happens in the copy; a build of the owner's own, in the tree, is not carried over."""
    original = make_tree(tmp_path / "linux")
    before = names(original)
    into = tmp_path / "into"
    into.mkdir()

    tree = unpack(given(str(original)), into, Silent())

    assert names(tree) == NEEDED
    assert names(original) == before


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb to make a package")
def test_a_package_is_unpacked(tmp_path: Path) -> None:
    """A linux-source package has a tarball inside; in Ubuntu beside a link of the same name."""
    make_tree(tmp_path / "linux-source-9.8")
    inside = tmp_path / "package/usr/src/linux-source-9.8"
    inside.mkdir(parents=True)
    with tarfile.open(inside / "linux-source-9.8.tar.xz", "w:xz") as archive:
        archive.add(tmp_path / "linux-source-9.8", "linux-source-9.8")
    (inside.parent / "linux-source-9.8.tar.xz").symlink_to("linux-source-9.8/linux-source-9.8.tar.xz")
    control = tmp_path / "package/DEBIAN/control"
    control.parent.mkdir()
    control.write_text(
        "Package: linux-source-9.8\nVersion: 9.8.7-1\nArchitecture: all\n"
        "Maintainer: A <a@example.org>\nDescription: x\n"
    )
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", tmp_path / "package", tmp_path / "x.deb"],
        check=True,
        capture_output=True,
    )
    into = tmp_path / "into"
    into.mkdir()

    tree = unpack(given(str(tmp_path / "x.deb")), into, Silent())

    assert names(tree) == NEEDED
    assert release_of(tree) == Release("9.8", "9.8.7")


@pytest.mark.parametrize("length", [0, 100, 400])
def test_a_damaged_tarball_is_refused(tmp_path: Path, length: int) -> None:
    """A download that broke off is no source, wherever it broke off."""
    make_tree(tmp_path / "linux")
    whole = tmp_path / "whole.tar.xz"
    with tarfile.open(whole, "w:xz") as archive:
        archive.add(tmp_path / "linux", "linux")
    broken = tmp_path / "broken.tar.xz"
    broken.write_bytes(whole.read_bytes()[:length])
    into = tmp_path / "into"
    into.mkdir()

    with pytest.raises(KernelSourceMissing, match=r"broken\.tar\.xz"):
        unpack(Source(SourceKind.TARBALL, broken, str(broken)), into, Silent())


def test_a_tarball_of_something_else_is_refused(tmp_path: Path) -> None:
    """The message names what was searched for."""
    (tmp_path / "file").write_text("x")
    tarball = tmp_path / "other.tar"
    with tarfile.open(tarball, "w") as archive:
        archive.add(tmp_path / "file", "other/file")
    into = tmp_path / "into"
    into.mkdir()

    with pytest.raises(KernelSourceMissing, match="arch/um/Kconfig"):
        unpack(given(str(tarball)), into, Silent())


@pytest.mark.parametrize("kind", ["missing", "text", "directory"])
def test_what_cannot_be_a_source_is_refused(tmp_path: Path, kind: str) -> None:
    """The message has the value, the reason and right examples."""
    path = {"missing": tmp_path / "nothing", "text": tmp_path / "notes.txt", "directory": tmp_path}[kind]
    (tmp_path / "notes.txt").write_text("x")

    with pytest.raises(UsageError) as caught:
        given(str(path))

    assert caught.value.field == "--source"
    assert caught.value.value == str(path)
    assert "linux-7.3.tar.xz" in caught.value.example


def test_a_source_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde that the shell has left alone (--source=~/linux) is the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    make_tree(tmp_path / "linux")

    assert given("~/linux") == Source(
        SourceKind.TREE, (tmp_path / "linux").resolve(), os.path.realpath(tmp_path / "linux")
    )


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (("7", "3", "4", ""), "7.3.4"),
        (("6", "1", "192", ""), "6.1.192"),
        (("7", "4", "0", " -rc2"), "7.4.0-rc2"),
        (("7", "4", "", ""), "7.4.0"),
    ],
)
def test_the_release_is_read_from_the_makefile(tmp_path: Path, version: tuple[str, str, str, str], name: str) -> None:
    """As uname -r reports it."""
    tree = make_tree(tmp_path, version=version)

    assert release_of(tree) == Release(f"{version[0]}.{version[1]}", name)


def test_a_makefile_without_a_release_is_refused(tmp_path: Path) -> None:
    """Not every directory with a Makefile is Linux."""
    make_tree(tmp_path)
    (tmp_path / "Makefile").write_text("all:\n")

    with pytest.raises(KernelSourceMissing, match="does not contain the release"):
        release_of(tmp_path)


def test_releases_have_an_order() -> None:
    """By number, not by letter; a release candidate comes before its release."""
    ordered = ["5.19", "6.1", "6.1.2", "6.1.192", "6.12.1", "7.3.0-rc2", "7.3.0-rc10", "7.3", "7.3.4"]
    shuffled = ordered[4:] + ordered[:4]

    assert sorted(shuffled, key=version_order) == ordered
