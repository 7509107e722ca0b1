"""Downloading a stock kernel from a small mirror: which packages are selected, and which files are unpacked."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.packages.archives import Archive
from handshake_lab.kernel.shared.progress import Silent
from handshake_lab.kernel.vm import stock_packages
from handshake_lab.kernel.vm.architecture import X86_64
from handshake_lab.kernel.vm.provide_vm import provide
from handshake_lab.kernel.vm.stock_kernels import StockKernels

#: The driver of a card that no virtual machine has.
NIC = "drivers/net/ethernet/intel/e1000.ko"
OLD, NEW, SPLIT = "6.1.0-9-amd64", "6.1.0-56-amd64", "7.2.13+deb14-amd64"

pytestmark = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None, reason="needs apt-get and dpkg-deb"
)


class Shelf:
    """A package mirror on disk with kernels in it, as Debian cuts them up."""

    def __init__(self, place: Path) -> None:
        self.place = place
        (place / "pool").mkdir(parents=True)
        self._entries: list[str] = []

    def put(self, name: str, files: dict[str, str] | None = None, depends: str = "") -> None:
        """A package."""
        content = self.place / "content"
        (content / "DEBIAN").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: 1-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\n"
            + (f"Depends: {depends}\n" if depends else "")
            + "Description: x\n"
        )
        (content / "DEBIAN/control").write_text(control)
        for path, text in (files or {}).items():
            (content / path).parent.mkdir(parents=True, exist_ok=True)
            (content / path).write_text(text)
        file = self.place / "pool" / f"{name}_1-1_amd64.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", content, file], check=True, capture_output=True)
        shutil.rmtree(content)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        self._entries.append(f"{control}Filename: pool/{file.name}\nSize: {file.stat().st_size}\nSHA256: {digest}\n")

    def archive(self) -> Archive:
        """Its only suite."""
        index = self.place / "dists/suite/main/binary-amd64/Packages"
        index.parent.mkdir(parents=True)
        index.write_text("\n".join(self._entries))
        digest = hashlib.sha256(index.read_bytes()).hexdigest()
        (self.place / "dists/suite/Release").write_text(
            "Suite: suite\nCodename: suite\nArchitectures: amd64\nComponents: main\n"
            "Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
            f"SHA256:\n {digest} {index.stat().st_size} main/binary-amd64/Packages\n"
        )
        return Archive(f"file:{self.place}", "suite", trusted=True)


def modules(release: str, top: str = "lib") -> dict[str, str]:
    """Some of a kernel's modules: those that a run needs, and two that it does not."""
    base = f"{top}/modules/{release}"
    needed = ("fs/9p/9p.ko", "net/9p/9pnet_virtio.ko", "drivers/virtio/virtio_pci.ko", "net/sched/sch_netem.ko")
    return {
        **{f"{base}/kernel/{name}": "" for name in (*needed, "drivers/net/ifb.ko", "drivers/gpu/drm/drm.ko", NIC)},
        f"{base}/modules.order": "",
        f"{base}/modules.builtin": "",
    }


def kernel(release: str) -> dict[str, str]:
    """A kernel's own files."""
    return {f"boot/vmlinuz-{release}": "MZ", f"boot/config-{release}": "CONFIG_HZ=250\n"}


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """The mirror, with a depmod that lists what it finds and an empty cache."""
    shelf = Shelf(tmp_path / "shelf")
    for release in (OLD, NEW):
        shelf.put(f"linux-image-{release}", {**kernel(release), **modules(release)})
    for name in (f"{NEW}-unsigned", f"{SPLIT}-dbg", "6.1.0-99-cloud-amd64", "6.1.0-99-rt-amd64", "7.2-amd64"):
        shelf.put(f"linux-image-{name}")
    parts = (f"linux-{part}-{SPLIT}" for part in ("base", "binary", "modules"))
    shelf.put(f"linux-image-{SPLIT}", depends=", ".join(parts))
    shelf.put(f"linux-base-{SPLIT}", {f"usr/lib/modules/{SPLIT}/config": "CONFIG_HZ=250\n"})
    shelf.put(f"linux-binary-{SPLIT}", {f"usr/lib/modules/{SPLIT}/vmlinuz": "MZ"})
    shelf.put(f"linux-modules-{SPLIT}", modules(SPLIT, "usr/lib"))
    shelf.put("linux-image-amd64", depends=f"linux-image-{NEW} (= 1-1)")
    stubs = tmp_path / "bin"
    stubs.mkdir()
    (stubs / "depmod").write_text(
        '#!/bin/sh\ncd "$2/lib/modules/$3" && find . -name "*.ko" | sed "s/$/: /" >modules.dep\n'
    )
    (stubs / "depmod").chmod(0o755)
    monkeypatch.setenv("PATH", f"{stubs}:/usr/sbin:/usr/bin:/sbin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = shelf.archive()
    monkeypatch.setattr(stock_packages, "machine_archives", lambda: [found])
    return found


@pytest.mark.usefixtures("archive")
@pytest.mark.parametrize(
    ("version", "release"), [("", NEW), ("stock", NEW), ("newest", SPLIT), ("7.2", SPLIT), (OLD, OLD), ("6.1", NEW)]
)
def test_a_kernel_is_fetched(tmp_path: Path, version: str, release: str) -> None:
    """In one package or in four, without the drivers of real devices, and found again."""
    stock = StockKernels(tmp_path)

    made = provide(version, Silent(), stock)

    assert made.release == release
    assert made.hz == 250
    assert made.vmlinuz.read_text() == "MZ"
    assert {file.name for file in made.modules.rglob("*.ko")} >= {"ifb.ko", "9p.ko", "sch_netem.ko"}
    assert not [*made.base.rglob("drm.ko"), *made.base.rglob("e1000.ko")]
    assert not list(made.base.rglob("*.deb"))
    assert stock.find(version) == made
    assert json.loads((made.base / "kernel.json").read_bytes()) == {"release": release, "asked": version or "stock"}


@pytest.mark.usefixtures("archive")
def test_a_version_that_is_not_offered(tmp_path: Path) -> None:
    """The message lists the available ones."""
    with pytest.raises(EnvironmentUnsupported, match=r"vm:9\.9 is not among .* \(6\.1, 7\.2\)"):
        provide("9.9", Silent(), StockKernels(tmp_path))


def test_without_a_mirror(tmp_path: Path, archive: Archive) -> None:
    """The complaint is apt's own, with what else can be done."""
    shutil.rmtree(Path(archive.uri.removeprefix("file:")))

    with pytest.raises(EnvironmentUnsupported, match=r"(?s)No stock kernel could be downloaded.*linux-image-amd64"):
        provide("", Silent(), StockKernels(tmp_path))


@pytest.mark.usefixtures("archive")
def test_a_damaged_package_leaves_nothing(tmp_path: Path) -> None:
    """Half a kernel must not be found later."""
    whole = tmp_path / f"shelf/pool/linux-image-{NEW}_1-1_amd64.deb"
    made = tmp_path / "made"
    cut = tmp_path / "cut.deb"
    cut.write_bytes(whole.read_bytes()[:-200])

    with pytest.raises(EnvironmentUnsupported, match=r"cut\.deb could not be unpacked"):
        stock_packages.unpack(cut, made)


def test_only_kernels_for_ordinary_machines_count() -> None:
    """Meta packages, debugging symbols, unsigned ones and other flavours are something else."""
    names = [
        *(
            "linux-image-amd64",
            "linux-image-6.12-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-56-amd64-dbg",
        ),
        *("linux-image-6.12.117+deb12-amd64", "linux-image-6.12.90+deb12.1-amd64", "linux-image-6.1.0-56-rt-amd64"),
        *("linux-image-6.8.0-40-generic", "linux-image-unsigned-6.8.0-40-generic", "linux-image-6.1.0-56-cloud-amd64"),
    ]

    assert stock_packages.releases_in(names, X86_64.flavours) == [
        *("6.1.0-56-amd64", "6.12.117+deb12-amd64", "6.12.90+deb12.1-amd64", "6.8.0-40-generic")
    ]
