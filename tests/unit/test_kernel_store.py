"""Building and keeping kernels: the whole way, with small programs in the place of make and gcc."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from command_line import COMMAND
from handshake_lab.cli.commands.cache import command as cache_command
from handshake_lab.errors import EnvironmentUnsupported, KernelFailed, UsageError
from handshake_lab.kernel.cache_contents import clean, entries
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.lab.build import configuration, patch_series
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.shared import cache, helper_programs
from handshake_lab.kernel.vm.architecture import ARM64
from handshake_lab.kernel.vm.virtual import package_root
from miniature_builds import MAKE, RecordedProgress, build, leftovers, stub, tree

if TYPE_CHECKING:
    from handshake_lab.kernel.packages.kernel_source import Source

__all__ = ["stub"]  # a fixture

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("stub")
def test_a_kernel_is_built_and_found(tmp_path: Path) -> None:
    """What a build returns is what is found afterwards, with all that a run needs."""
    reported = RecordedProgress()

    image = provide_lab.build(source=tree(tmp_path), progress=reported)

    assert LabImages().find() == LabImages().find("9.8") == LabImages().find("9.8.7") == image
    assert (image.version, image.release, image.hz, image.compiled_files) == ("9.8", "9.8.7", 250, 5)
    assert image.current
    assert os.access(image.linux, os.X_OK)
    assert image.shim.name == "seed.so"
    assert image.shim.is_file()
    assert image.supervisor.is_file()
    assert reported.stages == ["Copying", "Configuring", "Compiling", "Linking"]
    assert reported.last == 5
    assert leftovers(tmp_path) == []


def test_a_build_does_not_depend_on_the_callers_environment(
    tmp_path: Path, stub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Make gets the build's own variables, and of the caller's what it needs to find programs and proxies."""
    for name in (
        "LOCALVERSION",
        "GNUMAKEFLAGS",
        "MAKEFLAGS",
        "KCFLAGS",
        "CPATH",
        "HOSTCFLAGS",
        "TAR_OPTIONS",
        "LANGUAGE",
    ):
        monkeypatch.setenv(name, "-x")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HOME", str(tmp_path))
    build(tmp_path)
    found = set((stub / "environment").read_text().split())
    own = {*configuration.MAKE_VARIABLES, "TMPDIR", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"}
    assert found - own <= {"PATH", "HOME", "LD_LIBRARY_PATH", "APT_CONFIG", "https_proxy"} | {
        name for name in os.environ if name.lower().endswith("_proxy")
    }
    assert {"https_proxy", "HOME", "KBUILD_BUILD_USER"} <= found


def forkable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A kernel source in miniature, with a series of patches that fits it."""
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "0001-fork.patch").write_text(
        "--- a/arch/um/Kconfig\n+++ b/arch/um/Kconfig\n@@ -2,2 +2,5 @@\n \tint\n \tdefault 250\n"
        "+\n+config UML_MACHINE_FORK\n+\tbool\n"
    )
    monkeypatch.setattr(patch_series, "DIRECTORY", patches)
    return tree(tmp_path)


@pytest.mark.usefixtures("stub")
def test_a_kernel_for_which_the_patches_fit_forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which is kept with it; one without does not, and its build reports the reason."""
    reported, without = RecordedProgress(), RecordedProgress()
    plain = provide_lab.build(source=tree(tmp_path, "9.7"), progress=without)

    forks = provide_lab.build(source=forkable(tmp_path, monkeypatch), progress=reported)

    assert (plain.forks, forks.forks) == (False, True)
    assert not any("fork" in note for note in reported.notes)
    assert "boots for every run" in without.notes[-1]


def test_a_kernel_that_does_not_compile_with_the_patches_is_built_without(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A newer release must not leave this project without a kernel."""
    (stub / "make").write_text(
        MAKE.replace("mode=$(", "grep -q UML_MACHINE_FORK arch/um/Kconfig && exit 2\nmode=$(", 1)
    )
    reported = RecordedProgress()

    image = provide_lab.build(source=forkable(tmp_path, monkeypatch), progress=reported)

    assert not image.forks
    assert "does not compile with the patches" in reported.notes[-1]


@pytest.mark.usefixtures("stub")
def test_nothing_is_found_where_nothing_is() -> None:
    """An empty cache is no error, and looking does not fill it."""
    store = LabImages()

    assert store.find() is None
    assert store.images() == []
    assert not store.root.exists()


@pytest.mark.usefixtures("stub")
def test_the_newest_is_taken(tmp_path: Path) -> None:
    """By number: 6.12 is newer than 6.2, whenever they were built."""
    build(tmp_path, "6.12")
    build(tmp_path, "6.2", "99")

    found = LabImages().find()

    assert found is not None
    assert found.release == "6.12.7"
    assert [image.release for image in LabImages().images()] == ["6.12.7", "6.2.99"]


@pytest.mark.usefixtures("stub")
def test_kernels_of_another_configuration_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a change of lab.config the old kernel is listed, but not run."""
    build(tmp_path)
    changed = tmp_path / "lab.config"
    changed.write_text(configuration.CONFIG_FILE.read_text() + "CONFIG_ANOTHER=y\n")
    monkeypatch.setattr(configuration, "CONFIG_FILE", changed)

    assert LabImages().find() is None
    assert [image.current for image in LabImages().images()] == [False]


def test_a_changed_helper_costs_no_kernel_build(tmp_path: Path, stub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs beside the kernel have a key of their own."""
    build(tmp_path)
    calls = (stub / "calls").read_text()
    copies = [Path(shutil.copy(source, tmp_path)) for source in helper_programs.SOURCES]
    copies[0].write_text("/* other words */\n")
    monkeypatch.setattr(helper_programs, "SOURCES", copies)
    assert LabImages().find() is None

    image = provide_lab.ensure()

    assert image.shim.is_file()
    assert (stub / "calls").read_text() == calls


def test_a_failed_build_keeps_its_log(tmp_path: Path, stub: Path) -> None:
    """The error contains the end of the compiler's output and the path of the log; partial files are removed."""
    (stub / "mode").write_text("fail")

    with pytest.raises(KernelFailed, match="error: no such thing") as caught:
        build(tmp_path)

    log = tmp_path / "cache/handshake-lab/logs/9.8.7.log"
    assert str(log) in str(caught.value)
    assert "no such thing" in log.read_text()
    assert leftovers(tmp_path) == ["logs"]
    assert LabImages().images() == []


def test_a_full_disk_while_compiling_is_reported_as_such(tmp_path: Path, stub: Path) -> None:
    """Not as a compiler's error; and the next build, with space, goes through."""
    (stub / "mode").write_text("full")

    with pytest.raises(EnvironmentUnsupported, match="ran out of space while compiling") as caught:
        build(tmp_path)

    assert caught.value.exit_code == 3
    assert leftovers(tmp_path) == []
    (stub / "mode").unlink()
    assert build(tmp_path).release == "9.8.7"


@pytest.mark.usefixtures("stub")
def test_too_little_space_is_noticed_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message contains the required and the available space."""
    monkeypatch.setattr("handshake_lab.kernel.lab.provide_lab.BUILD_SPACE", 1 << 60)

    with pytest.raises(EnvironmentUnsupported, match=r"needs 1073741824\.0 GiB, but .* has .* GiB free"):
        build(tmp_path)

    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "ran out of space while testing"),
        (errno.EDQUOT, "ran out of space"),
        (errno.EROFS, "cannot be written"),
    ],
)
def test_errors_of_the_disk_become_one_clear_message(number: int, message: str) -> None:
    """Whatever writes to the cache may meet them."""
    with pytest.raises(EnvironmentUnsupported, match=message), cache.disk_errors("testing"):
        raise OSError(number, os.strerror(number), "/somewhere")


def test_other_errors_are_not_renamed() -> None:
    """Only an error that more space or another directory would solve suggests it."""
    with pytest.raises(BlockingIOError), cache.disk_errors("testing"):
        raise BlockingIOError(errno.EAGAIN, "try again")


@pytest.mark.parametrize("tool", ["flex", "gcc"])
def test_a_missing_tool_is_named_with_its_package(tmp_path: Path, stub: Path, tool: str) -> None:
    """Before anything is unpacked."""
    farm = tmp_path / "farm"
    farm.mkdir()
    for program in ("tar", "xz", "sh", "cat", "dirname"):
        (farm / program).symlink_to(shutil.which(program) or "")
    (stub / tool).unlink()
    os.environ["PATH"] = f"{stub}:{farm}"  # restored by the fixture's monkeypatch
    if tool == "gcc":
        # Compiling the shim comes first.
        pattern = "C compiler .* missing .*gcc libc6-dev"
    else:
        pattern = r"flex \(generates the scanner .*\).*apt-get install --no-install-recommends flex"

    with pytest.raises(EnvironmentUnsupported, match=pattern):
        build(tmp_path)

    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("stub")
def test_what_a_killed_builder_left_is_cleared_away(tmp_path: Path) -> None:
    """The holder of the lock may remove other builds, which are not in progress."""
    remains = cache.cache_root() / "work/build-dead/source"
    remains.mkdir(parents=True)
    (remains / "half").write_text("x")

    build(tmp_path)

    assert leftovers(tmp_path) == []


@pytest.mark.usefixtures("stub")
def test_a_kernel_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    """A source of the user's own is built each time: what is in it may have changed."""
    first = build(tmp_path)
    (first.directory / "mark").write_text("old")

    second = build(tmp_path)

    assert second.directory == first.directory
    assert not (second.directory / "mark").exists()
    assert len(LabImages().images()) == 1
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_build_leaves_no_process(
    tmp_path: Path, stub: Path, number: signal.Signals, status: int
) -> None:
    """Neither make nor what it started outlives the build, whatever ended that."""
    (stub / "mode").write_text("wait")
    os.mkfifo(stub / "fifo")
    child = start_build(tmp_path)
    (stub / "fifo").read_text()  # make has started its compiler
    compiler = os.pidfd_open(int((stub / "pid").read_text()))

    child.send_signal(number)

    assert child.wait(timeout=30) == status
    # A pidfd is readable when its process has ended.
    assert select.select([compiler], [], [], 30)[0]
    os.close(compiler)
    if number != signal.SIGKILL:
        assert leftovers(tmp_path) == []
    assert LabImages().images() == []


def test_a_second_builder_waits_and_uses_the_first_ones_kernel(tmp_path: Path, stub: Path) -> None:
    """It prints that it waits; make runs for one of them only."""
    (stub / "mode").write_text("wait")
    os.mkfifo(stub / "fifo")
    first = start_build(tmp_path)
    (stub / "fifo").read_text()
    code = (
        "import sys\n"
        "from handshake_lab.kernel.shared.progress import PlainProgress\n"
        "from handshake_lab.kernel.lab import provide_lab\n"
        "print(provide_lab.ensure('9.8', PlainProgress(sys.stdout)).release)\n"
    )
    second = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert second.stdout is not None
    said = second.stdout.readline()

    os.kill(int((stub / "pid").read_text()), signal.SIGTERM)  # the first one's compiler comes to its end

    rest, _ = second.communicate(timeout=60)
    assert said == "Another handshake is building a lab kernel; waiting for it.\n"
    assert rest.splitlines() == ["Linux 9.8.7 is available now.", "9.8.7"]
    assert (first.wait(timeout=30), second.returncode) == (0, 0)
    assert (stub / "calls").read_text().count("linux") == 1


def start_build(tmp_path: Path) -> subprocess.Popen[bytes]:
    """``handshake kernel build`` of the miniature, in a process of its own."""
    source = tree(tmp_path)
    code = (
        "import signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job of a shell ignores it
        "import handshake_lab.kernel.lab.build.compile as build; build.SPACE_NEEDED = 1\n"
        "from handshake_lab.cli.main import main\n"
        f"sys.argv = ['handshake', 'kernel', 'build', '--source', {str(source.path)!r}]\n"
        "main()\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, cwd=ROOT)


@pytest.mark.parametrize("damage", ["cut", "gone", "unreadable", "older"])
@pytest.mark.usefixtures("stub")
def test_a_damaged_kernel_is_never_run(tmp_path: Path, damage: str) -> None:
    """It is not ignored: the message names the directory to remove."""
    image = build(tmp_path)
    description = image.directory / "kernel.json"
    match damage:
        case "cut":
            image.linux.write_bytes(image.linux.read_bytes()[:5])
        case "gone":
            image.linux.unlink()
        case "unreadable":
            description.write_text("{")
        case "older":
            description.write_text("{}")

    with pytest.raises(EnvironmentUnsupported, match=f"{image.directory} is damaged.*rm -r"):
        LabImages().find()

    clean(cache.cache_root(), everything=True)
    assert LabImages().find() is None


@pytest.mark.usefixtures("stub")
def test_removing(tmp_path: Path) -> None:
    """By version or by release; the message about a missing one lists those that exist."""
    build(tmp_path, "6.1", "192")
    build(tmp_path, "7.3", "4")
    store = LabImages()

    assert [image.release for image in store.remove("6.1")] == ["6.1.192"]
    with pytest.raises(UsageError, match=r"'6\.1' is not among the installed lab kernels \(7\.3\.4\)"):
        store.remove("6.1")
    assert [image.release for image in store.remove("7.3.4")] == ["7.3.4"]
    assert store.images() == []


@pytest.mark.usefixtures("stub")
def test_the_cache_is_listed_and_cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads and what other versions left can go; on request everything."""
    image = build(tmp_path)
    root = cache.cache_root()
    (root / "packages").mkdir()
    (root / "packages/linux-source-9.8_1_all.deb").write_bytes(bytes(5000))
    (root / "kernels/6.1.9-0123456789ab").mkdir()
    (root / "stock").mkdir()
    (root / "stock/kvm.json").write_text("{}")
    programs = package_root.place_of(ARM64).name
    of_stock_kernels = ["stock-aarch64/6.1.0-56-arm64", f"roots/{programs}", "machines/6.1.0-56-arm64-0123456789ab"]
    for name in (*of_stock_kernels, "roots/aarch64-of-another-release"):
        (root / name).mkdir(parents=True)

    found = {str(entry.path.relative_to(root)): entry for entry in entries(root)}
    assert sorted(found) == sorted(
        [
            f"kernels/{image.directory.name}",
            "kernels/6.1.9-0123456789ab",
            f"helpers/{helper_programs.key()}",
            "packages",
            *of_stock_kernels,
            "roots/aarch64-of-another-release",
        ]
    )
    assert found["packages"].size >= 5000
    removed = {str(entry.path.relative_to(root)) for entry in clean(root, everything=False)}
    assert removed == {name for name, entry in found.items() if not entry.needed}
    assert removed == {"packages", "kernels/6.1.9-0123456789ab", "roots/aarch64-of-another-release"}
    assert LabImages().find() == image

    monkeypatch.setattr(configuration, "key", lambda: "ffffffffffff")
    assert f"kernels/{image.directory.name}" in {
        str(entry.path.relative_to(root)) for entry in entries(root) if not entry.needed
    }

    clean(root, everything=True)
    assert not root.exists()
    assert entries(root) == []


def test_a_lock_that_was_removed_is_not_held(tmp_path: Path) -> None:
    """Who waited for it while the whole cache was removed locks a new one, as those who come later do."""
    root = tmp_path / "cache"
    waits = threading.Event()
    found: list[bool] = []

    def wait() -> None:
        with cache.exclusive(waits.set, root):
            found.append((root / "lock").exists())

    thread = threading.Thread(target=wait)
    with cache.exclusive(lambda: None, root):
        thread.start()
        assert waits.wait(30)
        cache.remove_root(root)
        assert not root.exists()
    thread.join(30)
    assert found == [True]


def test_files_of_others_stay_in_a_removed_cache(tmp_path: Path) -> None:
    """Only what handshake keeps there goes."""
    root = tmp_path / "cache"
    root.mkdir()
    (root / "mine").touch()
    (root / "packages").mkdir()
    clean(root, everything=True)
    assert [path.name for path in root.iterdir()] == ["mine"]


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at it and cleaning it create nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for words in (["list"], ["clean"], ["clean", "--all"]):
        assert CliRunner().invoke(cache_command, words).exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stub")
def test_the_list_as_json(tmp_path: Path) -> None:
    """For programs: one document with what is needed to choose."""
    image = build(tmp_path)
    done = subprocess.run(
        [*COMMAND, "kernel", "list", "--json"],
        capture_output=True,
        check=True,
        cwd=ROOT,
    )

    (kernel,) = json.loads(done.stdout)["kernels"]

    assert kernel["release"] == "9.8.7"
    assert kernel["directory"] == str(image.directory)
    assert kernel["current"] is True
    assert kernel["forks"] is False


@pytest.mark.parametrize("version", ["abc", "6", "6.1.192", "", "6.1x", "--"])
@pytest.mark.usefixtures("stub")
def test_what_is_no_version_is_refused(version: str) -> None:
    """Before the mirror is contacted."""
    with pytest.raises(UsageError) as caught:
        provide_lab.ensure(version)

    assert caught.value.example == "--version 6.1"


def test_looking_a_kernel_up_imports_little() -> None:
    """Every start does it: rich, click and what a build takes stay out."""
    code = (
        "import sys; from handshake_lab.kernel.lab.lab_images import LabImages; LabImages().find(); "
        "print(*sorted(m for m in sys.modules if m in {'rich', 'click', 'subprocess', 'tempfile', 'msgspec'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert done.stdout.split() == []
