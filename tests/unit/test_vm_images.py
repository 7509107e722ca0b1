"""Stock kernels: which are here, which is meant, and their first file system. Nothing is booted."""

from __future__ import annotations

import lzma
import re
import stat
from typing import TYPE_CHECKING

import pytest
from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.vm import initramfs, provide_vm, qemu
from handshake_lab.kernel.vm.stock_kernels import NEEDED, StockKernel, StockKernels

if TYPE_CHECKING:
    from pathlib import Path


def lay_down(base: Path, release: str, *, modules: tuple[str, ...] = NEEDED, hz: int = 250) -> Path:
    """A kernel's modules, as names only."""
    place = base / "lib/modules" / release
    place.mkdir(parents=True)
    (place / "modules.dep").write_text("".join(f"kernel/some/{name}.ko.xz: \n" for name in modules))
    (place / "modules.builtin").write_text("kernel/fs/ext4.ko\n")
    (base / "boot").mkdir(exist_ok=True)
    (base / f"boot/vmlinuz-{release}").write_bytes(b"MZ")
    (base / f"boot/config-{release}").write_text(f"# CONFIG_HZ_100 is not set\nCONFIG_HZ_250=y\nCONFIG_HZ={hz}\n")
    return place


def fetched(cache: Path, release: str, asked: str) -> None:
    """A kernel in the cache."""
    base = cache / "handshake-lab/stock" / release
    lay_down(base, release)
    (base / f"boot/vmlinuz-{release}").rename(base / "vmlinuz")
    (base / f"boot/config-{release}").rename(base / "config")
    (base / "kernel.json").write_text(f'{{"release": "{release}", "asked": "{asked}"}}')


@pytest.fixture
def stock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StockKernels:
    """A machine and a cache without kernels."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return StockKernels(tmp_path)


def test_without_kernels_there_is_none(stock: StockKernels) -> None:
    """Neither directory exists."""
    assert stock.kernels() == []
    assert stock.find("") is None


def test_the_machines_newest_kernel_is_found(stock: StockKernels, tmp_path: Path) -> None:
    """By number: ABI 56 comes after ABI 9. Its HZ is read from its configuration."""
    lay_down(tmp_path, "6.1.0-9-amd64")
    lay_down(tmp_path, "6.1.0-56-amd64", hz=1000)

    found = stock.find("")

    assert found is not None
    assert (found.release, found.hz, found.asked) == ("6.1.0-56-amd64", 1000, "")
    assert found.modules.is_dir()


def test_a_kernel_that_lacks_what_a_run_needs_is_left_alone(stock: StockKernels, tmp_path: Path) -> None:
    """Kernels for clouds have no 9p, and some have netem in a package of its own."""
    lay_down(tmp_path, "6.1.0-56-cloud-amd64", modules=("virtio_pci", "sch_netem"))
    lay_down(tmp_path, "6.8.0-40-generic", modules=tuple(name for name in NEEDED if name != "sch_netem"))

    assert stock.kernels() == []


def test_what_is_built_in_is_there_too(stock: StockKernels, tmp_path: Path) -> None:
    """A kernel may have virtio in itself."""
    place = lay_down(tmp_path, "7.0.1-custom", modules=NEEDED[1:])
    assert stock.kernels() == []

    (place / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")

    assert [kernel.release for kernel in stock.kernels()] == ["7.0.1-custom"]


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("", "6.1.0-56-amd64"),
        ("stock", "6.1.0-56-amd64"),
        ("newest", "7.2.13+deb14-amd64"),
        ("6.1", "6.1.0-56-amd64"),
        ("6.12", "6.12.117+deb12-amd64"),
        ("6.12.117", "6.12.117+deb12-amd64"),
        ("6.12.117+deb12-amd64", "6.12.117+deb12-amd64"),
        ("6.12.11", None),
    ],
)
def test_which_is_meant(stock: StockKernels, tmp_path: Path, version: str, release: str | None) -> None:
    """6.1 is not 6.12, and a kernel fetched for another purpose is never taken for the distribution's own."""
    fetched(tmp_path / "cache", "6.1.0-56-amd64", "stock")
    fetched(tmp_path / "cache", "6.12.117+deb12-amd64", "6.12")
    fetched(tmp_path / "cache", "7.2.13+deb14-amd64", "newest")

    found = stock.find(version)

    assert (found.release if found else None) == release


@pytest.mark.parametrize("version", ["new", "6", "-1", "six.one"])
def test_what_is_no_release_is_refused(version: str) -> None:
    """With a right example."""
    with pytest.raises(UsageError, match=r"vm:.*not a release of Linux.*--kernel vm:6\.1"):
        provide_vm.check_version(version)


def read_cpio(data: bytes) -> dict[str, tuple[int, bytes]]:
    """The files of a newc archive: mode and content."""
    files: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = numbers[1], numbers[6], numbers[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        at = -(-(at + 110 + length) // 4) * 4
        if name == "TRAILER!!!":
            return files
        files[name] = (mode, data[at : at + size])
        at = -(-(at + size) // 4) * 4


def test_the_first_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program, a console, and the modules unpacked, each listed once and after what it needs."""
    base = tmp_path / "base"
    place = lay_down(base, "6.1.0-56-amd64")
    (place / "virtio.ko").write_bytes(b"plain")
    (place / "9p.ko.xz").write_bytes(lzma.compress(b"packed"))
    stubs = tmp_path / "bin"
    stubs.mkdir()
    (stubs / "modprobe").write_text(
        "#!/bin/sh\n"
        f'test "$1 $2 $3 $4" = "-d {base} -S 6.1.0-56-amd64" || exit 1\n'
        f'echo "insmod {place}/virtio.ko "; echo "builtin netfs"\n'
        f'[ "$6" = virtio_pci ] || echo "insmod {place}/9p.ko.xz debug=1"\n'
    )
    (stubs / "modprobe").chmod(0o755)
    monkeypatch.setenv("PATH", str(stubs))
    (tmp_path / "init").write_bytes(b"ELF")
    kernel = StockKernel("6.1.0-56-amd64", base / "boot/vmlinuz-6.1.0-56-amd64", base, 250)

    files = read_cpio(initramfs.build(kernel, tmp_path / "init"))

    assert files["init"] == (stat.S_IFREG | 0o755, b"ELF")
    assert files["dev/console"][0] == stat.S_IFCHR | 0o600
    assert files["modules"][1] == b"/virtio.ko\n/9p.ko\n"
    assert files["virtio.ko"][1] == b"plain"
    assert files["9p.ko"][1] == b"packed"


def test_a_module_packed_in_an_unknown_way_is_reported(tmp_path: Path) -> None:
    """Rather than booted into nothing."""
    module = tmp_path / "9p.ko.new"
    module.write_bytes(b"")

    with pytest.raises(EnvironmentUnsupported, match=r"9p\.ko\.new"):
        initramfs.plain(module)


@pytest.fixture
def qemu_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A QEMU on PATH that is never started."""
    (tmp_path / "qemu-system-x86_64").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "qemu-system-x86_64").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("qemu_on_path")
def test_the_host_s_files_are_shared_read_only(tmp_path: Path) -> None:
    """And a comma in a path does not become an option of QEMU's."""
    kernel = StockKernel("6.1.0-56-amd64", tmp_path / "vmlinuz", tmp_path, 250)
    shared = {"root": (tmp_path / "/", False), "results": (tmp_path / "a,b", True)}

    line = qemu.command(kernel, tmp_path / "rd", "tcg", memory=512, processors=1, shared=shared)

    tags = {re.findall("mount_tag=([a-z]+)", word)[0]: word for word in line if word.startswith("local,")}
    assert ",readonly=on" in tags["root"]
    assert "readonly" not in tags["results"]
    assert f"path={tmp_path}/a,,b,mount_tag" in tags["results"]


@pytest.mark.usefixtures("qemu_on_path")
def test_time_under_emulation_comes_from_a_clock_of_known_frequency(tmp_path: Path) -> None:
    """On a busy machine the measured frequency of the processor is wrong; under KVM the host provides it."""
    kernel = StockKernel("6.1.0-56-amd64", tmp_path / "vmlinuz", tmp_path, 250)

    def words(accelerator: qemu.Accelerator) -> str:
        line = qemu.command(kernel, tmp_path / "rd", accelerator, memory=512, processors=1, shared={})
        return line[line.index("-append") + 1]

    assert "clocksource=hpet" in words("tcg")
    assert "clocksource" not in words("kvm")


@pytest.mark.parametrize("missing", ["qemu-system-x86_64", "modprobe"])
def test_a_missing_program_is_reported_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Before anything is fetched."""
    for name in {"qemu-system-x86_64", "modprobe"} - {missing}:
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(qemu, "_SYSTEM_PATH", str(tmp_path))

    with pytest.raises(EnvironmentUnsupported, match=rf"{missing}.* is not installed.*apt-get install"):
        qemu.demand_programs()
