"""Stock kernels in virtual time: mailbox, files, templates and QEMU's arguments. Nothing is booted."""

from __future__ import annotations

import fcntl
import io
import json
import os
import stat
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from handshake_lab.cli import main
from handshake_lab.errors import EnvironmentUnsupported, KernelFailed, UsageError
from handshake_lab.kernel.cache_contents import clean
from handshake_lab.kernel.packages.archives import Archive, of_architecture
from handshake_lab.kernel.shared.job import Job
from handshake_lab.kernel.shared.kernel_name import KernelName, in_real_time
from handshake_lab.kernel.shared.supervisor import Ending
from handshake_lab.kernel.vm import architecture, own_kernel, provide_vm, qemu, vm_kernel
from handshake_lab.kernel.vm.virtual import (
    guest_files,
    job_files,
    machine,
    mailbox,
    package_root,
    template_guest,
    templates,
    virtual_vm,
)
from handshake_lab.kernel.vm.virtual.guest_files import GuestFiles
from handshake_lab.kernel.vm.virtual.monitor import Monitor
from handshake_lab.recording.observations import KernelInfo
from unit.test_vm_images import read_cpio


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lab:6.1", KernelName("lab", "6.1", real_time=False)),
        ("vm", KernelName("vm", "", real_time=False)),
        ("vm:7.2.13+deb14-amd64", KernelName("vm", "7.2.13+deb14-amd64", real_time=False)),
        ("vm:7.2.13+deb14-amd64+real-time", KernelName("vm", "7.2.13+deb14-amd64", real_time=True)),
    ],
)
def test_the_name_of_a_kernel(text: str, name: KernelName) -> None:
    """A release may contain a plus sign."""
    assert KernelName.parse(text) == name


def test_real_time_is_for_stock_kernels() -> None:
    """The option can be given twice, but not for a kernel that has only one kind of time."""
    assert in_real_time(in_real_time("vm:6.12")) == "vm:6.12+real-time"
    for name in ("lab", "host", "lab:6.1"):
        with pytest.raises(UsageError, match="--real-time"):
            in_real_time(name)


@pytest.mark.parametrize(
    ("info", "real_time", "computing_takes_time"),
    [
        (KernelInfo("lab", "7.3.4", 250, 1), False, False),
        (KernelInfo("vm", "6.1.0-56-amd64", 250, 1), False, True),
        (KernelInfo("vm", "6.1.0-56-amd64", 250, None), True, True),
        (KernelInfo("host", "6.1.0", 250, None), True, True),
    ],
)
def test_what_time_is_on_a_kernel(info: KernelInfo, *, real_time: bool, computing_takes_time: bool) -> None:
    """Whether time is real is a property of the run; whether computing takes some, one of the kind of kernel."""
    assert (info.real_time, info.computing_takes_time) == (real_time, computing_takes_time)


class Memory(mailbox.GuestMailbox):
    """A mailbox as the guest sees it, without its kernel."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as shared:
            self._memory = mailbox.mmap.mmap(shared.fileno(), mailbox.SIZE)


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 300_000])
def test_a_job_goes_in_and_results_come_out(tmp_path: Path, length: int) -> None:
    """Of any length: in the guest, everything begins at a page."""
    delivery = mailbox.Delivery(b"j" * length, b"a" * length)
    mailbox.write_delivery(tmp_path / "mailbox", delivery)
    assert mailbox.read_reply(tmp_path / "mailbox") is None
    guest = Memory(tmp_path / "mailbox")

    assert guest.delivery() == delivery

    guest.reply(mailbox.Reply(-9, b"r" * length))
    assert mailbox.read_reply(tmp_path / "mailbox") == mailbox.Reply(-9, b"r" * length)


def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a remedy, before a machine is started; and in the guest, instead of a cut archive."""
    monkeypatch.setattr(mailbox, "SIZE", 64 << 10)
    with pytest.raises(EnvironmentUnsupported, match="--real-time"):
        mailbox.write_delivery(tmp_path / "mailbox", mailbox.Delivery(b"{}", bytes(64 << 10)))
    mailbox.write_delivery(tmp_path / "mailbox", mailbox.Delivery(b"{}", b""))
    Memory(tmp_path / "mailbox").reply(mailbox.Reply(0, bytes(64 << 10)))
    with pytest.raises(KernelFailed, match="results of the run have 0 MiB"):
        mailbox.read_reply(tmp_path / "mailbox")


def test_a_link_among_the_results_is_copied(tmp_path: Path) -> None:
    """Wherever it leads to in the guest; one that leads nowhere is left out."""
    guest, results = tmp_path / "guest", tmp_path / "results"
    guest.mkdir()
    results.mkdir()
    (tmp_path / "elsewhere").write_text("text")
    (guest / "link").symlink_to(tmp_path / "elsewhere")
    (guest / "dangling").symlink_to("nowhere")

    virtual_vm._unpack(template_guest._packed(str(guest)), results)

    assert {path.name: path.read_text() for path in results.iterdir()} == {"link": "text"}
    assert not (results / "link").is_symlink()


def test_results_that_cannot_be_unpacked_are_reported(tmp_path: Path) -> None:
    """As an error of the kernel; a link is never followed."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in ("link", "directory"):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = (tarfile.SYMTYPE, "/etc/passwd") if name == "link" else (tarfile.REGTYPE, "")
            archive.addfile(member)
    (tmp_path / "directory").mkdir()

    with pytest.raises(KernelFailed, match="could not be unpacked"):
        virtual_vm._unpack(out.getvalue(), tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["directory"]


def test_a_program_that_cannot_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could be executed here, but not copied."""
    for name in ("readable", "secret"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)

    def access(path: str | Path, mode: int) -> bool:
        return not (mode & os.R_OK and str(path).endswith("secret"))

    monkeypatch.setattr(guest_files, "_PROGRAMS", (str(tmp_path),))
    monkeypatch.setattr(guest_files.os, "access", access)
    assert [path.name for path in guest_files._programs() if path.parent == tmp_path] == ["readable"]
    files = GuestFiles()
    assert files.put("/readable", tmp_path / "readable")
    assert not files.put("/secret", tmp_path / "secret")


def test_a_file_is_added_with_all_that_leads_to_it(tmp_path: Path) -> None:
    """A link comes with its target, at the one path that leads through no link; a missing file is left out."""
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/deep/file").write_text("text")
    (tmp_path / "real/link").symlink_to("deep/file")
    (tmp_path / "other").symlink_to("real")
    files = GuestFiles()

    files.add(tmp_path / "other/link")
    files.add(tmp_path / "other/missing")

    added = [path.removeprefix(f"{tmp_path}/") for path, _ in files.items() if path.startswith(f"{tmp_path}/")]
    assert added == ["other", "real", "real/deep", "real/deep/file", "real/link"]
    assert files.size == 4


def test_files_that_are_too_large_for_a_machine_are_refused() -> None:
    """With a remedy."""
    files = GuestFiles()
    files.size = 1 << 30
    with pytest.raises(EnvironmentUnsupported, match="--real-time"):
        files.check_size()


def test_this_python_is_among_the_files() -> None:
    """The interpreter, its library, installed packages and this project."""
    paths = {str(path) for path in guest_files.python_files()}

    for module in (json, pytest, guest_files):
        assert os.path.realpath(str(module.__file__)) in {os.path.realpath(path) for path in paths}


def test_a_module_changes_the_key_and_its_bytecode_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python writes bytecode when it likes."""
    monkeypatch.setattr(guest_files, "python_directories", lambda: [tmp_path])
    before = guest_files.key()
    (tmp_path / "module.pyc").write_text("text")
    assert guest_files.key() == before
    (tmp_path / "module.py").write_text("text")
    assert guest_files.key() != before


def packed(job: Job, results: Path) -> dict[str, bytes]:
    """The files of a job by their paths."""
    with tarfile.open(fileobj=io.BytesIO(job_files.packed(job, results))) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}


def test_the_files_of_a_job(tmp_path: Path) -> None:
    """Its directories, without what tools keep, other environments and what every machine has; and its results."""
    project, results = tmp_path / "project", tmp_path / "results"
    for name in ("test_it.py", "data/a.txt", ".git/config", "__pycache__/b.pyc", "venv/pyvenv.cfg", "venv/lib/c.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(name)
    results.mkdir()
    (results / "output").write_text("begun")
    job = Job(call="x:y", readable=(project, tmp_path / "missing"), environment={"PATH": "/usr/bin"})

    found = packed(job, results)

    inside = {name.removeprefix(f"{project}/"[1:]): text for name, text in found.items() if "project" in name}
    assert inside == {"test_it.py": b"test_it.py", "data/a.txt": b"data/a.txt"}
    assert [text for name, text in found.items() if name.endswith("/output")] == [b"begun"]


def test_the_same_files_are_the_same_archive(tmp_path: Path) -> None:
    """Whenever and by whom they were written, and with which umask: a run must not depend on it."""
    (tmp_path / "project").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "project/a").write_text("a")
    job = Job(call="x:y", import_from=(tmp_path / "project",))
    before = job_files.packed(job, tmp_path / "results")

    os.utime(tmp_path / "project/a", (1, 1))
    (tmp_path / "project/a").chmod(0o600)
    (tmp_path / "project").chmod(0o700)

    assert job_files.packed(job, tmp_path / "results") == before


def test_directories_of_the_distribution_are_not_copied() -> None:
    """Their programs are among the files of every machine, or nowhere."""
    for name in ("/usr/bin", "/usr/lib/python3/dist-packages", "/usr", "/etc/ssl"):
        assert job_files.files_of(Job(call="x:y", readable=(Path(name),))) == []


@pytest.mark.parametrize("name", ["project", "build/dist/site"])
def test_a_project_below_usr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As in many containers; and directories that are called as those of some tools."""
    monkeypatch.setattr(job_files, "_SYSTEM", (f"{tmp_path}/usr/lib",))
    for each in (f"usr/src/{name}/a.py", "usr/lib/b.py"):
        (tmp_path / each).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each).write_text("")

    found = job_files.files_of(Job(call="x:y", readable=(tmp_path / "usr/src", tmp_path / "usr/lib")))

    assert [str(path.relative_to(tmp_path)) for path in found if path.is_file()] == [f"usr/src/{name}/a.py"]


def test_a_file_that_vanishes_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that cannot be read: the archive is complete without it."""
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    listed = [tmp_path / "a", tmp_path / "gone", tmp_path / "b"]
    monkeypatch.setattr(job_files, "files_of", lambda _: listed)
    (tmp_path / "results").mkdir()

    assert [*packed(Job(call="x:y"), tmp_path / "results").values()] == [b"a", b"b"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with five templates, the first of them the least recently used."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for number in range(5):
        directory = templates.root() / f"6.1-{number}"
        directory.mkdir(parents=True)
        for name in ("memory", "state", "template.json"):
            (directory / name).write_text("{}")
        os.utime(directory / "template.json", (number, number))
    return templates.root()


def test_the_least_recently_used_templates_are_removed(store: Path) -> None:
    """To use one is to keep it."""
    with templates.Template(store / "6.1-0").used() as there:
        assert there

    templates.remove_old(2, store.parent)

    assert sorted(path.name for path in store.iterdir()) == ["6.1-0", "6.1-4"]


def test_a_template_in_use_is_not_removed(store: Path) -> None:
    """Whatever its age; and one that was removed is reported, not used."""
    with templates.Template(store / "6.1-0").used() as there:
        os.utime(store / "6.1-0/template.json", (0, 0))
        templates.remove_old(1, store.parent)
        assert there
        assert (store / "6.1-0/state").exists()

    assert sorted(path.name for path in store.iterdir()) == ["6.1-0", "6.1-4"]
    with templates.Template(store / "6.1-1").used() as there:
        assert not there


def test_half_a_template_is_not_used_but_removed(store: Path) -> None:
    """What an interrupted removal left, by an earlier version."""
    (store / "6.1-4/template.json").unlink()
    with templates.Template(store / "6.1-4").used() as there:
        assert not there

    templates.remove_old(9, store.parent)

    assert sorted(path.name for path in store.iterdir()) == [f"6.1-{number}" for number in range(4)]


def test_a_template_that_was_moved_meanwhile_is_not_used(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lock is that of another file, or of none."""
    locked = fcntl.flock

    def late(handle: int, operation: int) -> None:
        (store / "6.1-0").rename(store.parent / "removed")
        locked(handle, operation)

    monkeypatch.setattr(templates.fcntl, "flock", late)
    with templates.Template(store / "6.1-0").used() as there:
        assert not there


def test_cleaning_the_cache_leaves_machines_in_use(store: Path) -> None:
    """Even if everything is to be removed."""
    root = store.parent
    with templates.Template(store / "6.1-0").used():
        removed = [entry.path.name for entry in clean(root, everything=True)]
    assert removed == [f"6.1-{number}" for number in range(1, 5)]
    assert [path.name for path in store.iterdir()] == ["6.1-0"]

    clean(root, everything=True)
    assert not root.exists()


def qemu_line(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch, *, restored: bool) -> list[str]:
    """The command of a machine, with a QEMU that is never started."""
    chosen = architecture.ARCHITECTURES[name]
    (tmp_path / chosen.qemu).write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / chosen.qemu).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return machine.command(
        chosen,
        kernel=tmp_path / "vmlinuz",
        initramfs=None if restored else tmp_path / "initramfs",
        memory=tmp_path / "a,b",
        shared=not restored,
        mailbox_file=tmp_path / "mailbox",
        scratch=tmp_path,
    )


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_a_machine_counts_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A restored one differs from its template only in where its memory goes and its state comes from."""
    saved, restored = (qemu_line(tmp_path, name, monkeypatch, restored=each) for each in (False, True))

    assert saved[saved.index("-icount") + 1] == "shift=0,sleep=off,align=off"
    assert [word for word in saved if word not in restored] == [
        "shift=0,sleep=off,align=off",
        f"memory-backend-file,id=ram,size={machine.MEMORY}M,mem-path={tmp_path}/a,,b,share=on",
        "-initrd",
        str(tmp_path / "initramfs"),
    ]
    assert restored[restored.index("-incoming") + 1] == "defer"
    # Its threads take turns: otherwise one run of twenty was another, on a busy machine.
    assert restored[restored.index("-icount") + 1].startswith("shift=0,sleep=off,align=off,rr=record")
    assert "share=off" in restored[restored.index("-object") + 1]


@pytest.mark.parametrize("name", ["x86_64", "aarch64"])
def test_a_missing_qemu_is_reported_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """For each architecture."""
    monkeypatch.setenv("PATH", str(tmp_path))
    chosen = architecture.ARCHITECTURES[name]
    with pytest.raises(EnvironmentUnsupported, match=rf"{chosen.qemu} is not installed.*{chosen.package}"):
        machine.qemu(chosen)


def fake_qemu(scratch: Path, reports: list[dict[str, Any]], commands: list[str], expected: int) -> threading.Thread:
    """A thread that reads commands from a monitor's pipe, and sends reports after the first two."""

    def follow() -> None:
        with (scratch / "monitor.in").open("rb") as source, (scratch / "monitor.out").open("wb", 0) as out:
            for _ in range(expected):
                commands.append(json.loads(source.readline())["execute"])
                if len(commands) == 2:
                    for report in reports:
                        out.write(json.dumps(report).encode() + b"\r\n")

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    return thread


def test_a_restored_machine_continues_when_its_state_was_read(tmp_path: Path) -> None:
    """Not earlier: QEMU would refuse."""
    commands: list[str] = []
    events = [{"event": "MIGRATION", "data": {"status": status}} for status in ("setup", "active", "completed")]
    with Monitor(tmp_path) as monitor:
        thread = fake_qemu(tmp_path, events, commands, 5)
        monitor.restore("cat state")
        thread.join(10)

    assert commands == ["qmp_capabilities", "migrate-set-capabilities", "set-action", "migrate-incoming", "cont"]


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_only_a_machine_that_was_saved_is_a_template(tmp_path: Path, status: str) -> None:
    """And only if QEMU ended by itself: what was killed has half of its state."""
    commands: list[str] = []
    events: list[dict[str, Any]] = [{"event": "GUEST_PANICKED"}, {"event": "MIGRATION", "data": {"status": status}}]
    with Monitor(tmp_path) as monitor:
        thread = fake_qemu(tmp_path, events, commands, 4)
        monitor.save_when_ready("cat > state")
        thread.join(10)

    assert commands == ["qmp_capabilities", "migrate-set-capabilities", "migrate", "quit"]
    if status == "completed":
        templates.check_saved(Ending("exit", "0", ""), monitor)
    else:
        with pytest.raises(KernelFailed, match=r"\(exit 0\)"):
            templates.check_saved(Ending("exit", "0", ""), monitor)
    for ending in (Ending("timeout", "", ""), Ending("signal", "9", ""), Ending("exit", "1", "")):
        with pytest.raises(KernelFailed, match=ending.word):
            templates.check_saved(ending, monitor)


def test_a_machine_that_refuses_a_command_is_ended(tmp_path: Path) -> None:
    """With QEMU's reason."""
    commands: list[str] = []
    with Monitor(tmp_path) as monitor:
        thread = fake_qemu(tmp_path, [{"error": {"class": "GenericError", "desc": "no such thing"}}], commands, 3)
        monitor.save_when_ready("cat > state")
        thread.join(10)

    assert commands[2:] == ["quit"]
    with pytest.raises(KernelFailed, match="could not save the virtual machine: no such thing"):
        templates.check_saved(Ending("exit", "0", ""), monitor)


def test_a_machine_that_ends_ends_its_monitor(tmp_path: Path) -> None:
    """Even in the middle of a line; nobody waits for an event that never occurs."""
    with Monitor(tmp_path) as monitor:
        monitor.save_when_ready("cat > state")
        with (tmp_path / "monitor.out").open("wb", 0) as out:
            out.write(b'{"event": "GUEST_PAN')


def test_the_archive_has_a_directory_before_what_is_in_it(tmp_path: Path) -> None:
    """Also one that this machine does not have, such as that of a downloaded kernel's modules."""
    (tmp_path / "module.ko").write_bytes(b"ko")
    files = GuestFiles()
    files.add("/usr/lib/modules/0.0.0-none/net/module.ko", tmp_path / "module.ko")

    templates.write_archive(tmp_path / "archive", files, architecture.X86_64)

    found = read_cpio((tmp_path / "archive").read_bytes())
    names = list(found)
    place = f"{os.path.realpath('/usr/lib')}/modules/0.0.0-none/net/module.ko".lstrip("/")
    parent = place.rpartition("/")[0]
    assert found[place][1] == b"ko"
    assert stat.S_ISDIR(found[parent][0])
    assert names.index(parent) < names.index(place)
    assert stat.S_IFMT(found["dev/console"][0]) == stat.S_IFCHR


def test_a_template_is_removed_under_its_lock(store: Path) -> None:
    """Another process that has just found it either uses it whole, or finds that it is gone."""
    with (store / "6.1-0/template.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        templates.remove_old(0, store.parent)

    assert [path.name for path in store.iterdir()] == ["6.1-0"]


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
    debian = Archive("http://deb.debian.org/debian", "bookworm")

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
