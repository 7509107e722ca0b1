"""Which stock kernel is run: one of the user's own, of another architecture, and what is refused. Nothing is booted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from handshake_lab.cli import main
from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.packages.archives import Archive, of_architecture
from handshake_lab.kernel.vm import architecture, own_kernel, provide_vm, qemu, vm_kernel
from handshake_lab.kernel.vm.virtual import (
    package_root,
)

if TYPE_CHECKING:
    from pathlib import Path


def bzimage(release: str) -> bytes:
    """The beginning of a kernel for x86-64, with its release."""
    head = bytearray(0x3000)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x2000 - 0x200).to_bytes(2, "little")
    text = f"{release} (me@here) #1 SMP\0".encode()
    head[0x2000 : 0x2000 + len(text)] = text
    return bytes(head)


@pytest.mark.parametrize("name", ["boot/bzImage", "arch/x86/boot/bzImage"])
def test_a_kernel_of_the_users_own(tmp_path: Path, name: str) -> None:
    """Its release is in it, its configuration beside it or at the top of its source tree, its modules above it."""
    kernel = tmp_path / name
    kernel.parent.mkdir(parents=True)
    kernel.write_bytes(bzimage("6.12.9-mine"))
    config = kernel.with_name("config-6.12.9-mine") if name.startswith("boot") else tmp_path / ".config"
    config.write_text("CONFIG_HZ=300\n")
    (kernel.parent.parent / "lib/modules/6.12.9-mine").mkdir(parents=True)

    found = own_kernel.find(str(kernel))

    assert (found.release, found.hz, found.base) == ("6.12.9-mine", 300, kernel.parent.parent)
    provide_vm.check_version(str(kernel))


def test_a_kernel_of_arm64_has_its_release_beside_it(tmp_path: Path) -> None:
    """In the name of its file, or in the tree that it was built in."""
    (tmp_path / "config").write_text("CONFIG_HZ=250\n")
    (tmp_path / "vmlinuz-6.12.9").write_bytes(b"MZ")
    assert own_kernel.find(str(tmp_path / "vmlinuz-6.12.9")).release == "6.12.9"
    (tmp_path / "include/config").mkdir(parents=True)
    (tmp_path / "include/config/kernel.release").write_text("6.13.0\n")
    (tmp_path / "Image").write_bytes(b"MZ")
    assert own_kernel.find(str(tmp_path / "Image")).release == "6.13.0"


def test_what_is_no_kernel_is_refused(tmp_path: Path) -> None:
    """A missing file, one without a release, and one without a configuration."""
    (tmp_path / "text").write_text("hello")
    (tmp_path / "bzImage").write_bytes(bzimage("6.12.9"))
    for name, reason in (
        ("missing", "not a file"),
        ("text", "does not contain its release"),
        ("bzImage", "config-6.12.9"),
    ):
        with pytest.raises(UsageError, match=reason):
            own_kernel.find(str(tmp_path / name))


@pytest.mark.parametrize(
    ("version", "chosen", "rest"),
    [("arm64", "aarch64", ""), ("arm64:6.12", "aarch64", "6.12"), ("arm64:/a/Image", "aarch64", "/a/Image")],
)
def test_another_architecture_is_named_first(version: str, chosen: str, rest: str) -> None:
    """And its kernels are kept apart: in Ubuntu they have the same names."""
    found, left = architecture.named(version)
    assert (found.name, left) == (chosen, rest)


@pytest.mark.parametrize("version", ["", "6.12", "newest", "/boot/vmlinuz", "aarch64"])
def test_without_an_architecture_it_is_this_machines(version: str) -> None:
    """The whole is the version."""
    assert architecture.named(version) == (architecture.of_this_machine(), version)


def test_a_machine_that_is_not_supported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what else to use."""
    monkeypatch.setattr(architecture.platform, "machine", lambda: "riscv64")
    with pytest.raises(EnvironmentUnsupported, match=r"riscv64\. Use --kernel host"):
        architecture.of_this_machine()


def test_real_time_is_for_this_machines_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the time, not the kernel."""
    with pytest.raises(UsageError, match=r"--real-time: 'vm:arm64:6.12' runs in virtual time only.*x86-64"):
        vm_kernel.prepared("arm64:6.12", wall_limit=1)
    monkeypatch.setattr(qemu.platform, "machine", lambda: "aarch64")
    with pytest.raises(EnvironmentUnsupported, match="--real-time supports x86-64 only"):
        qemu.qemu()


@pytest.mark.parametrize("changed", ["release", "mirror", "package"])
def test_the_root_of_another_architecture_is_renewed(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    """With a release of the distribution, another mirror, and another version of msgspec."""
    place = package_root.place_of(architecture.ARM64)
    assert package_root.place_of(architecture.ARM64) == place
    if changed == "release":
        monkeypatch.setattr(package_root, "_codename", lambda: "duke")
    elif changed == "mirror":
        monkeypatch.setattr(
            package_root, "machine_archives", lambda: [Archive("http://mirror.example.org/debian", "x")]
        )
    else:
        monkeypatch.setattr(package_root, "version", lambda _: "0.0")
    other = package_root.place_of(architecture.ARM64)
    assert other != place
    assert other.name.startswith("aarch64-")


def test_ubuntus_packages_of_arm64_are_elsewhere() -> None:
    """Debian's are where the others are."""
    ubuntu = Archive("http://kr.archive.ubuntu.com/ubuntu/", "noble")
    debian = Archive("http://mirror.example/debian", "bookworm")

    found = of_architecture([ubuntu, debian], "arm64")

    assert [each.uri for each in found] == ["http://ports.ubuntu.com/ubuntu-ports", debian.uri]
    assert of_architecture([ubuntu, debian], "") == [ubuntu, debian]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--kernel", "vm", "--watch"), "--kernel vm --real-time --watch"),
        (("--kernel", "lab", "--real-time"), "runs in virtual time only"),
        (("--real-time", "--kernel=host"), "always runs in real time"),
    ],
)
def test_what_a_kernel_does_not_do_is_refused(words: tuple[str, ...], reason: str) -> None:
    """Before one is looked for; in which order the options are given does not matter."""
    result = CliRunner().invoke(main.command, ["record", "--server", "nc -l 80", "--client", "true", *words])

    assert isinstance(result.exception, UsageError)
    assert reason in str(result.exception)
