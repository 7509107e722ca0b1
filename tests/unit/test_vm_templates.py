"""Saved machines of stock kernels: how they are kept and removed, and what QEMU is asked. Nothing is booted."""

from __future__ import annotations

import fcntl
import json
import os
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.errors import EnvironmentUnsupported, KernelFailed
from handshake_lab.kernel.cache_contents import clean
from handshake_lab.kernel.shared.supervisor import Ending
from handshake_lab.kernel.vm import architecture
from handshake_lab.kernel.vm.virtual import (
    machine,
    templates,
)
from handshake_lab.kernel.vm.virtual.guest_files import GuestFiles
from handshake_lab.kernel.vm.virtual.monitor import Monitor
from unit.test_vm_images import read_cpio

if TYPE_CHECKING:
    from pathlib import Path


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
