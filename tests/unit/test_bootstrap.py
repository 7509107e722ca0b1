"""``./handshake``: what it sets up, what it does not change, and how it continues after an interruption.

The script runs in a directory of its own, with a PATH of its own: a few harmless
programs, and small ones in the place of python, apt-get, sudo and id.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from bootstrapped_checkout import APT_GET, SCRIPT, Checkout

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh one."""
    return Checkout(tmp_path)


def test_the_first_start_sets_up_and_becomes_the_command(checkout: Checkout, tmp_path: Path) -> None:
    """With the same words, in the same directory, with the command's own status and nothing else on its output.

    What it imports is compiled once, whatever is usual elsewhere: kernels import the same again and again.
    """
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    checkout.environment["PYTHONDONTWRITEBYTECODE"] = "1"
    status, out, _ = checkout.run("record", "--out", "two words", "", cwd=elsewhere)

    assert status == 7
    assert out.splitlines() == [f"cwd={elsewhere}", "word=record", "word=--out", "word=two words", "word="]
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip"]
    assert f"--editable {checkout.place}" in checkout.log[1]
    assert "[test]" not in checkout.log[1]


def test_the_second_start_does_nothing_else(checkout: Checkout) -> None:
    """The interpreter is not started."""
    checkout.run("demo")
    before = checkout.log
    (checkout.bin / "python3").unlink()

    status, out, err = checkout.run("demo")

    assert (status, err) == (7, "")
    assert "word=demo" in out
    assert checkout.log == before


@pytest.mark.parametrize("verb", ["test", "scenarios", "claims"])
def test_what_tests_need_is_installed_for_them(checkout: Checkout, verb: str) -> None:
    """Into the same environment, once; other commands then need nothing more."""
    for words in (("demo",), (verb,), ("demo",), (verb,), ("demo",)):
        assert checkout.run(*words)[0] == 7

    assert [line.split()[0] for line in checkout.log] == ["venv", "pip", "pip"]
    assert [f"{checkout.place}[test]" in line for line in checkout.log] == [False, False, True]


def test_through_a_symbolic_link(checkout: Checkout, tmp_path: Path) -> None:
    """The checkout is where the script is, not where the link is."""
    link = tmp_path / "bin/handshake-lab"
    link.parent.mkdir()
    link.symlink_to(checkout.place / "handshake")

    assert checkout.run("demo", script=link, cwd=tmp_path)[0] == 7
    assert (checkout.place / ".venv").is_dir()


def test_an_interrupted_set_up_starts_again(checkout: Checkout) -> None:
    """An incomplete environment is never used."""
    (checkout.stubs / "pip-fails").touch()
    status, out, err = checkout.run("demo")
    assert (status, out) == (3, "")
    assert "Start again to continue" in err
    (checkout.place / ".venv/half").touch()
    (checkout.stubs / "pip-fails").unlink()

    assert checkout.run("demo")[0] == 7
    assert not (checkout.place / ".venv/half").exists()


def test_changed_requirements_are_installed(checkout: Checkout) -> None:
    """Into the same environment; an interruption of that is detected, too."""
    checkout.run("demo")
    (checkout.place / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    (checkout.place / ".venv/kept").touch()

    assert checkout.run("demo")[0] == 7
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip", "pip"]
    assert (checkout.place / ".venv/kept").exists()


def test_a_moved_checkout_gets_a_new_environment(checkout: Checkout) -> None:
    """Environments have their own path in their programs."""
    checkout.run("demo")
    checkout.place = checkout.place.rename(checkout.place.with_name("moved"))

    assert checkout.run("demo")[0] == 7
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip", "venv", "pip"]


def test_two_starts_at_once(checkout: Checkout) -> None:
    """One installs; the other prints that it waits, and uses what the first has installed."""
    (checkout.stubs / "pip-waits").touch()
    os.mkfifo(checkout.stubs / "fifo")
    first = checkout.start("demo")
    # Opening blocks until pip reads: from then on the first start holds the lock.
    with (checkout.stubs / "fifo").open("w"):
        second = checkout.start("demo")
        assert second.stderr is not None
        message = second.stderr.readline()
    watchdog = threading.Timer(60, second.kill)
    watchdog.start()
    results = [child.wait() for child in (first, second)]
    watchdog.cancel()
    for child in (first, second):
        child.communicate()

    assert message == "handshake: waiting for another ./handshake that is installing\n"
    assert results == [7, 7]
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip"]


@pytest.mark.parametrize(
    "words", [(), ("--help",), ("--version",), ("doctor",), ("kernel", "list"), ("demo", "--help"), ("test", "-h")]
)
def test_looking_around_needs_no_packages(checkout: Checkout, words: tuple[str, ...]) -> None:
    """Help and the doctor are for machines that lack things."""
    checkout.stub("apt-get", APT_GET)
    checkout.lack("bc", "gcc")

    assert checkout.run(*words)[0] == 7
    assert not [line for line in checkout.log if line.startswith("apt-get")]


def test_missing_packages_are_installed(checkout: Checkout) -> None:
    """The packages and their purpose are printed first; no questions, no recommended packages."""
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    checkout.lack("bc", "flex")

    status, out, err = checkout.run("demo")

    assert status == 7
    assert "word=demo" in out
    assert "bc            builds the lab kernel: its time constants" in err
    assert "flex          builds the lab kernel" in err
    (apt,) = [line for line in checkout.log if line.startswith("apt-get")]
    assert apt.endswith("install --no-install-recommends flex bc (noninteractive)")


def test_package_lists_are_read_only_if_needed(checkout: Checkout) -> None:
    """A fresh container has none."""
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\nexit 100\n")
    checkout.lack("bc")

    checkout.run("demo")

    verbs = [next(word for word in line.split() if word in {"update", "install"}) for line in checkout.log[:2]]
    assert verbs == ["update", "install"]


def test_build_tools_only_where_a_kernel_is_to_be_built(checkout: Checkout, tmp_path: Path) -> None:
    """Not if there is one, and not for the machine's own kernel."""
    checkout.lack("flex")
    assert checkout.run("demo", "--kernel", "host")[0] == 7
    assert checkout.run("demo", "--kernel=host")[0] == 7
    assert checkout.run("serve", "runs", "--no-lab")[0] == 7
    assert checkout.run("demo")[0] == 3
    assert checkout.run("test", "--no-lab")[0] == 3

    for place in (
        tmp_path / "home/.cache/handshake-lab",
        checkout.system,
        checkout.place / ".venv/lib/python3.11/site-packages/handshake_lab_kernel",
    ):
        kernel = place / "kernels/7.3.4-x"
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text("{}")
        assert checkout.run("demo")[0] == 7
        shutil.rmtree(kernel)
        assert checkout.run("demo")[0] == 3


def test_another_version_of_the_kernel_has_to_be_built(checkout: Checkout, tmp_path: Path) -> None:
    """A kernel is of use only if it is of the version that was asked for."""
    kernel = tmp_path / "home/.cache/handshake-lab/kernels/6.12.3-x"
    kernel.mkdir(parents=True)
    (kernel / "kernel.json").write_text("{}")
    checkout.lack("flex")
    statuses = {
        version: checkout.run("demo", "--kernel", f"lab:{version}")[0] for version in ("6.1", "6.12", "6.12.3", "7.3")
    }
    assert statuses == {"6.1": 3, "6.12": 7, "6.12.3": 7, "7.3": 3}
    assert checkout.run("demo", "--kernel=lab:6.1")[0] == 3
    assert checkout.run("kernel", "build")[0] == 3


@pytest.fixture
def released(checkout: Checkout) -> Path:
    """The requirement for the released kernel, in a checkout that has one."""
    file = checkout.place / "harness/handshake_lab/kernel/lab/packaging/released-wheel.txt"
    file.parent.mkdir(parents=True)
    file.write_text("handshake-lab-kernel==1 --hash=sha256:0\n")
    return file


def test_the_released_kernel_is_fetched_instead_of_built(checkout: Checkout, released: Path) -> None:
    """With exactly its digest, from wherever pip searches; once, and nothing that builds is asked for."""
    checkout.lack("flex", "gcc", "make")
    (checkout.stubs / "index-has-the-kernel").touch()
    status, _, err = checkout.run("demo")
    assert (status, checkout.run("demo")) == (7, checkout.run("demo"))
    assert "nothing has to be built" in err
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip", "pip"]
    assert f"--require-hashes --requirement {released}" in checkout.log[-1]
    assert "--no-deps" in checkout.log[-1]


@pytest.mark.usefixtures("released")
def test_a_kernel_that_cannot_be_fetched_is_built(checkout: Checkout) -> None:
    """The packages for that are installed only then; a version that was not released is not searched for."""
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    checkout.lack("flex")
    assert checkout.run("demo")[0] == 7
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip", "pip", "apt-get"]
    assert checkout.log[-1].endswith("install --no-install-recommends flex (noninteractive)")
    for words in (("demo", "--kernel", "lab:6.1"), ("kernel", "build")):
        assert checkout.run(*words)[0] == 7
    assert len([line for line in checkout.log if "--require-hashes" in line]) == 1


@pytest.mark.usefixtures("released")
def test_all_missing_packages_are_named_at_once(checkout: Checkout) -> None:
    """Also those that are needed only if the kernel cannot be fetched: an administrator is asked once."""
    checkout.stub("id", "#!/bin/sh\necho 1000\n")
    checkout.stub("apt-get", APT_GET)
    checkout.lack("ss", "flex")
    status, _, err = checkout.run("demo")
    assert status == 3
    assert "install --no-install-recommends iproute2 flex\n" in err


def test_a_kernel_in_a_removed_environment_is_fetched_again(checkout: Checkout, released: Path) -> None:
    """A moved checkout gets a new environment, and with it the kernel."""
    (checkout.stubs / "index-has-the-kernel").touch()
    checkout.lack("flex")
    assert checkout.run("demo")[0] == 7
    checkout.place = checkout.place.rename(checkout.place.with_name("moved"))
    assert checkout.run("demo")[0] == 7
    assert [line.split()[0] for line in checkout.log] == ["venv", "pip", "pip"] * 2
    assert not released.exists()


def test_a_wheel_of_a_kernel_is_installed_once(checkout: Checkout) -> None:
    """From the given directory only, also into an environment that is there; nothing that builds is asked for."""
    assert checkout.run("demo")[0] == 7
    checkout.lack("flex", "gcc")
    for directory in ("/wheels", "/wheels", "/other"):
        checkout.environment["HANDSHAKE_KERNEL_WHEELS"] = directory
        assert checkout.run("demo")[0] == 7
    del checkout.environment["HANDSHAKE_KERNEL_WHEELS"]

    installed = [line for line in checkout.log if "handshake-lab-kernel" in line]
    assert len(installed) == 2
    for line, directory in zip(installed, ("/wheels", "/other"), strict=True):
        assert f"--no-index --find-links {directory} " in line


def test_a_wheel_that_is_not_there_is_reported(checkout: Checkout) -> None:
    """And the next start tries again."""
    assert checkout.run("demo")[0] == 7
    checkout.environment["HANDSHAKE_KERNEL_WHEELS"] = "/wheels"
    (checkout.stubs / "pip-fails").touch()
    status, _, err = checkout.run("demo")
    assert (status, "HANDSHAKE_KERNEL_WHEELS has no handshake-lab-kernel" in err) == (3, True)
    (checkout.stubs / "pip-fails").unlink()
    assert checkout.run("demo")[0] == 7


@pytest.mark.parametrize("words", [("--kernel", "vm"), ("--kernel=vm:6.12",)])
def test_a_virtual_machine_needs_other_programs(checkout: Checkout, words: tuple[str, ...]) -> None:
    """QEMU, and a compiler for its first program; nothing that builds a lab kernel."""
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    checkout.stub("zstd", "#!/bin/sh\n")
    checkout.stub("modprobe", "#!/bin/sh\n")
    checkout.lack("flex", "gcc")

    assert checkout.run("demo", *words)[0] == 7

    (apt,) = [line for line in checkout.log if line.startswith("apt-get")]
    assert apt.endswith("install --no-install-recommends qemu-system-x86 gcc libc6-dev (noninteractive)")


@pytest.mark.parametrize(
    ("machine", "words"), [("aarch64", ()), ("aarch64", ("--kernel", "vm:6.12")), ("x86_64", ("--kernel=vm:arm64",))]
)
def test_an_arm64_kernel_needs_qemu_for_arm64(checkout: Checkout, machine: str, words: tuple[str, ...]) -> None:
    """On an arm64 machine it is the usual kernel, as User-Mode Linux does not exist there."""
    checkout.stub("uname", f"#!/bin/sh\necho {machine}\n")
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    for program in ("zstd", "modprobe"):
        checkout.stub(program, "#!/bin/sh\n")
    checkout.lack("flex")

    assert checkout.run("demo", *words)[0] == 7

    (apt,) = [line for line in checkout.log if line.startswith("apt-get")]
    assert apt.endswith("install --no-install-recommends qemu-system-arm (noninteractive)")


def test_a_mininet_script_needs_what_mininet_calls(checkout: Checkout) -> None:
    """Only to be run: not for help, nor for other verbs."""
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    checkout.stub("ping", "#!/bin/sh\n")
    assert checkout.run("run", "--help")[0] == 7
    assert checkout.run("demo")[0] == 7
    assert not [line for line in checkout.log if line.startswith("apt-get")]

    assert checkout.run("run", "script.py")[0] == 7

    (apt,) = [line for line in checkout.log if line.startswith("apt-get")]
    packages = apt.partition("--no-install-recommends ")[2].split()
    # ifconfig and brctl are in /usr/sbin, where the script looks on this machine, too.
    assert [each for each in packages if each not in ("net-tools", "bridge-utils")] == [
        "mininet",
        "iperf",
        "telnet",
        "(noninteractive)",
    ]


def test_the_machines_own_kernel_needs_a_compiler_once(checkout: Checkout, tmp_path: Path) -> None:
    """For the small programs beside it, until they are in the cache."""
    checkout.lack("gcc")
    assert checkout.run("demo", "--kernel", "host")[0] == 3

    helpers = tmp_path / "home/.cache/handshake-lab/helpers/x"
    helpers.mkdir(parents=True)
    (helpers / "supervisor").touch()
    assert checkout.run("demo", "--kernel", "host")[0] == 7


def test_without_apt_the_list_is_printed(checkout: Checkout) -> None:
    """Other distributions have other names for packages; the programs are named."""
    checkout.lack("bc")

    status, out, err = checkout.run("demo")

    assert (status, out) == (3, "")
    assert "no apt-get" in err
    assert "bc            builds the lab kernel" in err
    assert not (checkout.place / ".venv").exists()


@pytest.mark.parametrize("sudo", ["none", "refuses"])
def test_without_permission_to_install_the_command_is_printed(checkout: Checkout, sudo: str) -> None:
    """For whoever has it."""
    checkout.stub("id", "#!/bin/sh\necho 1000\n")
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    if sudo == "refuses":
        checkout.stub("sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
    checkout.lack("bc")

    status, out, err = checkout.run("demo")

    assert (status, out) == (3, "")
    assert "apt-get update && apt-get install --no-install-recommends bc\n" in err
    assert not [line for line in checkout.log if line.startswith("apt-get")]


def test_sudo_is_used_by_ordinary_users(checkout: Checkout) -> None:
    """It never asks for a password without a terminal."""
    checkout.stub("id", "#!/bin/sh\necho 1000\n")
    checkout.stub("apt-get", APT_GET)
    checkout.stub("apt-cache", "#!/bin/sh\n")
    checkout.stub("sudo", '#!/bin/sh\necho "sudo $1" >>"$STUBS/log"\nshift\nexec "$@"\n')
    checkout.lack("bc")

    assert checkout.run("demo")[0] == 7
    assert checkout.log[0] == "sudo -n"
    assert checkout.log[1].startswith("apt-get")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_a_checkout_that_cannot_be_written(checkout: Checkout, tmp_path: Path) -> None:
    """Its environment lies in the cache, and is found there again."""
    checkout.place.chmod(0o555)

    assert checkout.run("demo")[0] == 7
    assert checkout.run("demo")[2] == ""
    assert not (checkout.place / ".venv").exists()
    assert list((tmp_path / "home/.cache/handshake-lab/checkouts").glob("*/venv/handshake.stamp"))
    checkout.place.chmod(0o755)


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_any_shell_can_read_it(shell: str) -> None:
    """It is for /bin/sh, whatever that is."""
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    command = [program, "sh", "-n"] if shell == "busybox" else [program, "-n"]

    assert subprocess.run([*command, SCRIPT], capture_output=True, check=False).stderr == b""


def test_shellcheck_finds_nothing() -> None:
    """The linter for shell scripts."""
    program = shutil.which("shellcheck")
    if program is None:
        pytest.skip("no shellcheck here")

    assert subprocess.run([program, SCRIPT], capture_output=True, text=True, check=False).stdout == ""
