"""Finding kernel sources: the machine's package sources, the later suites, and a mirror of our own on disk."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import textwrap
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import KernelSourceMissing, UsageError
from handshake_lab.kernel.packages import archives
from handshake_lab.kernel.packages.archives import Archive, Distribution
from handshake_lab.kernel.packages.mirror import Mirror, Offer, check_version, choose
from handshake_lab.kernel.shared.progress import Silent

if TYPE_CHECKING:
    from pathlib import Path

BOOKWORM = Distribution("debian", "bookworm")
KEYRINGS = {"debian": "/keys/debian.gpg", "ubuntu": "/keys/ubuntu.gpg"}


# --- Reading the machine's package sources ------------------------------------------


def test_one_line_sources() -> None:
    """Options, comments, deb-src and other components."""
    text = """
        # deb http://old.example.org/debian bookworm main
        deb http://mirror.example.org/debian bookworm main contrib # the archive
        deb [arch=amd64 signed-by=/keys/x.gpg trusted=yes] https://other.example.org/debian bookworm-updates main
        deb-src http://mirror.example.org/debian bookworm main
        deb https://vendor.example.org/apt bookworm stable
    """

    assert archives.parse_list(text) == [
        Archive("http://mirror.example.org/debian", "bookworm"),
        Archive("https://other.example.org/debian", "bookworm-updates", "/keys/x.gpg", trusted=True),
    ]


def test_deb822_sources() -> None:
    """Several suites in a stanza, a comment in the middle of one, a disabled one, and a key written out."""
    text = textwrap.dedent("""\
        Types: deb deb-src
        # a snapshot of the same
        URIs: http://mirror.example.org/debian
        Suites: bookworm bookworm-updates
        Components: main non-free-firmware
        Signed-By: /keys/debian.gpg

        Enabled: no
        Types: deb
        URIs: http://off.example.org/debian
        Suites: bookworm
        Components: main

        types: deb
        uris: http://own.example.org/debian
        suites: bookworm
        components: main
        signed-by:
         -----BEGIN PGP PUBLIC KEY BLOCK-----
         .
         mDMEY
         -----END PGP PUBLIC KEY BLOCK-----

        Types: deb-src
        URIs: http://source.example.org/debian
        Suites: bookworm
        Components: main
        """)

    found = archives.parse_deb822(text)

    assert found[:2] == [
        Archive("http://mirror.example.org/debian", "bookworm", "/keys/debian.gpg"),
        Archive("http://mirror.example.org/debian", "bookworm-updates", "/keys/debian.gpg"),
    ]
    assert [(archive.uri, archive.signed_by.splitlines()[0]) for archive in found[2:]] == [
        ("http://own.example.org/debian", "-----BEGIN PGP PUBLIC KEY BLOCK-----")
    ]


def test_what_is_written_is_read_back() -> None:
    """For apt, keys included."""
    written = [
        Archive("http://a.example.org/debian", "sid", "/keys/debian.gpg"),
        Archive("file:/mirror", "bookworm", trusted=True),
        Archive("http://b.example.org/debian", "sid", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY"),
    ]

    assert archives.parse_deb822(archives.to_deb822(written)) == written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\nVERSION_CODENAME=bookworm\n", Distribution("debian", "bookworm")),
        (
            'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\nUBUNTU_CODENAME="noble"\n',
            Distribution("ubuntu", "noble"),
        ),
        (
            'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n',
            Distribution("ubuntu", "noble"),
        ),
        (
            "ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n",
            Distribution("debian", "bookworm"),
        ),
        ('ID="fedora"\nVERSION_ID=43\n', Distribution("", "")),
    ],
)
def test_the_distribution(text: str, expected: Distribution) -> None:
    """Derivatives count as what they are derived from."""
    assert archives.distribution(text) == expected


# --- Choosing suites -------------------------------------------------------------------


def test_later_suites_of_the_same_mirror_are_asked() -> None:
    """Signed by the distribution's key; the machine's own suites stay as they are."""
    own = [
        Archive("http://m.example.org/debian", "bookworm"),
        Archive("http://m.example.org/debian", "bookworm-updates"),
        Archive("http://m.example.org/debian-security", "bookworm-security"),
    ]

    wanted = archives.wanted(own, BOOKWORM, KEYRINGS)

    assert [archive.suite for archive in wanted] == [
        *("bookworm", "bookworm-updates", "bookworm-security", "bookworm-backports", "trixie", "trixie-backports"),
        *("forky", "forky-backports", "duke", "duke-backports", "sid"),
    ]
    assert {archive.signed_by for archive in wanted} == {"/keys/debian.gpg"}
    assert {archive.uri for archive in wanted if archive.added} == {"http://m.example.org/debian"}


def test_other_vendors_with_a_suite_of_that_name_are_not_asked() -> None:
    """Their "bookworm" holds their own programs."""
    own = [
        Archive("http://m.example.org/debian/", "bookworm"),
        Archive("https://apt.vendor.example.org", "bookworm", "/keys/vendor.gpg"),
    ]

    assert {archive.uri for archive in archives.wanted(own, BOOKWORM, KEYRINGS)} == {"http://m.example.org/debian/"}


def test_a_mirror_under_another_name_is_asked() -> None:
    """If there is no other, it is the distribution's; its own key stays."""
    own = [Archive("http://cache.example.org/repository/deb-proxy", "bookworm", "/keys/own.gpg")]

    wanted = archives.wanted(own, BOOKWORM, KEYRINGS)

    assert {archive.signed_by for archive in wanted} == {"/keys/own.gpg"}
    assert "trixie-backports" in {archive.suite for archive in wanted}


def test_suites_of_ubuntu() -> None:
    """Later releases with their updates, and the one in development."""
    own = [Archive("http://m.example.org/ubuntu", suite) for suite in ("noble", "noble-updates", "noble-security")]

    suites = [archive.suite for archive in archives.wanted(own, Distribution("ubuntu", "noble"), KEYRINGS)]

    assert suites[:3] == ["noble", "noble-updates", "noble-security"]
    assert suites[3:5] == ["resolute", "resolute-updates"]
    assert suites[-1] == "devel"


@pytest.mark.parametrize(
    ("codename", "expected"), [("woody2", ["woody2-backports", "sid"]), ("sid", ["sid-backports", "sid"])]
)
def test_a_release_that_is_newer_than_this_program(codename: str, expected: list[str]) -> None:
    """Its own backports, and what is always there."""
    assert archives.later_suites(Distribution("debian", codename)) == expected


def test_no_archives_elsewhere() -> None:
    """Another distribution's packages are not linux-source packages."""
    assert archives.wanted([Archive("http://m.example.org/debian", "bookworm")], Distribution("", ""), KEYRINGS) == []


# --- Asking a mirror ---------------------------------------------------------------------


class Shelf:
    """A package mirror on disk, in miniature."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def put(self, suite: str, *packages: tuple[str, str]) -> Archive:
        """A suite with these packages, of a name and a version."""
        entries = [self._package(name, version) for name, version in packages]
        index = self._place / "dists" / suite / "main/binary-amd64/Packages"
        index.parent.mkdir(parents=True)
        index.write_text("\n".join(entries))
        digest = hashlib.sha256(index.read_bytes()).hexdigest()
        (self._place / "dists" / suite / "Release").write_text(
            f"Suite: {suite}\nCodename: {suite}\nArchitectures: amd64\nComponents: main\n"
            f"Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
            f"SHA256:\n {digest} {index.stat().st_size} main/binary-amd64/Packages\n"
        )
        return self.at(suite)

    def at(self, suite: str) -> Archive:
        """That suite, whether it is there or not."""
        return Archive(f"file:{self._place}", suite, trusted=True)

    def _package(self, name: str, version: str) -> str:
        file = self._place / "pool" / f"{name}_{version}_all.deb"
        content = self._place / "content"
        (content / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: x\n"
        )
        (content / "DEBIAN/control").write_text(control)
        file.parent.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", content, file], check=True, capture_output=True)
        shutil.rmtree(content)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        return f"{control}Filename: pool/{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n"


class Notes(Silent):
    """Remembers the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Remember it."""
        self.notes.append(text)


needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="needs apt-get and dpkg-deb"
)


def mirror(tmp_path: Path, *archives: Archive, progress: Notes | None = None) -> Mirror:
    """The mirror, with an empty state and the packages of earlier calls."""
    state = tmp_path / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir()
    return Mirror(state, tmp_path / "packages", progress or Notes(), archives)


@needs_apt
def test_the_newest_kernel_of_all_suites_is_fetched(tmp_path: Path) -> None:
    """By number, across suites; packages of similar names are something else."""
    shelf = Shelf(tmp_path / "shelf")
    old = shelf.put("old", ("linux-source-6.2", "6.2.1-1"), ("linux-source", "9.9"), ("linux-source-6.2-extra", "9"))
    new = shelf.put("new", ("linux-source-6.12", "6.12.3-1"), ("linux-source-6.2", "6.2.9-1"))

    source = mirror(tmp_path, old, new).fetch(None)

    assert source.path == tmp_path / "packages/linux-source-6.12_6.12.3-1_all.deb"
    assert source.origin == "linux-source-6.12_6.12.3-1_all"
    assert not source.path.is_symlink()
    assert subprocess.run(["dpkg-deb", "--info", source.path], check=False, capture_output=True).returncode == 0


@needs_apt
def test_a_version_is_fetched_in_its_newest_point_release(tmp_path: Path) -> None:
    """Ubuntu's name for the package has a third number."""
    shelf = Shelf(tmp_path / "shelf")
    old = shelf.put("old", ("linux-source-6.2.0", "6.2.0-1"))
    new = shelf.put("new", ("linux-source-6.2.0", "6.2.0-9"), ("linux-source-6.12", "6.12.3-1"))

    assert mirror(tmp_path, old, new).fetch("6.2").path.name == "linux-source-6.2.0_6.2.0-9_all.deb"


@needs_apt
def test_a_missing_suite_does_not_break_the_rest(tmp_path: Path) -> None:
    """Suites are requested before their release and after their removal."""
    shelf = Shelf(tmp_path / "shelf")
    there = shelf.put("there", ("linux-source-6.1", "6.1.1-1"))

    assert mirror(tmp_path, shelf.at("not-yet"), there, shelf.at("gone")).fetch(None).path.is_file()


@needs_apt
def test_an_unsigned_suite_is_left_out_and_reported(tmp_path: Path) -> None:
    """The checks of apt hold here as everywhere."""
    shelf = Shelf(tmp_path / "shelf")
    good = shelf.put("good", ("linux-source-6.1", "6.1.1-1"))
    doubtful = shelf.put("doubtful", ("linux-source-9.9", "9.9.9-1"))
    notes = Notes()

    source = mirror(tmp_path, good, Archive(doubtful.uri, "doubtful"), progress=notes).fetch(None)

    assert source.path.name.startswith("linux-source-6.1_")
    assert any("doubtful" in note for note in notes.notes)


@needs_apt
def test_a_version_that_is_not_offered(tmp_path: Path) -> None:
    """The message lists the existing kernels, with a valid example."""
    shelf = Shelf(tmp_path / "shelf")
    suite = shelf.put("suite", ("linux-source-6.1", "6.1.1-1"), ("linux-source-6.12", "6.12.1-1"))

    with pytest.raises(KernelSourceMissing, match=r"'9\.9' is not among .* \(6\.1, 6\.12\).*--version 6\.12"):
        mirror(tmp_path, suite).fetch("9.9")


@needs_apt
def test_a_package_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And again if what is there is not all of it."""
    shelf = Shelf(tmp_path / "shelf")
    suite = shelf.put("suite", ("linux-source-6.1", "6.1.1-1"))
    place = mirror(tmp_path, suite).fetch(None).path
    whole = place.read_bytes()

    place.write_bytes(whole[:100])
    assert mirror(tmp_path, suite).fetch(None).path.read_bytes() == whole

    def refuse(*_: object) -> None:
        raise AssertionError("it is here already")

    monkeypatch.setattr(Mirror, "_download", refuse)
    assert mirror(tmp_path, suite).fetch(None).path == place


@needs_apt
def test_without_a_mirror_a_kept_package_serves(tmp_path: Path) -> None:
    """A train has no network; the kernel's source is still there."""
    shelf = Shelf(tmp_path / "shelf")
    suite = shelf.put("suite", ("linux-source-6.1", "6.1.1-1"))
    place = mirror(tmp_path, suite).fetch(None).path
    shutil.rmtree(tmp_path / "shelf")
    notes = Notes()

    assert mirror(tmp_path, suite, progress=notes).fetch("6.1").path == place
    assert any(place.name in note for note in notes.notes)


def test_without_mirror_and_package_the_other_way_is_reported(tmp_path: Path) -> None:
    """On a distribution without apt, for instance."""
    with pytest.raises(KernelSourceMissing, match=r"--source linux-7\.3\.tar\.xz"):
        mirror(tmp_path).fetch(None)


def test_choosing() -> None:
    """The newest by number, or the requested one."""
    offers = [Offer(version, "", "", 0) for version in ("6.2", "6.12", "6.1")]

    assert choose(offers, None).version == "6.12"
    assert choose(offers, "6.1").version == "6.1"


@pytest.mark.parametrize(
    ("version", "reason"), [("6.1.192", "point release"), ("new", "not a version"), ("6", "not a")]
)
def test_versions_are_of_two_numbers(version: str, reason: str) -> None:
    """With the reason, and a right example."""
    with pytest.raises(UsageError, match=rf"{version}.* {reason}.*--version 6\.1"):
        check_version(version)
