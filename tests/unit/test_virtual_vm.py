"""Stock kernels in virtual time: names, mailbox, and the files of a machine and of a job. Nothing is booted."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest
from handshake_lab.errors import EnvironmentUnsupported, KernelFailed, UsageError
from handshake_lab.kernel.shared.job import Job
from handshake_lab.kernel.shared.kernel_name import KernelName, in_real_time
from handshake_lab.kernel.vm.virtual import (
    guest_files,
    job_files,
    mailbox,
    template_guest,
    virtual_vm,
)
from handshake_lab.kernel.vm.virtual.guest_files import GuestFiles
from handshake_lab.recording.observations import KernelInfo


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
