"""``handshake doctor``: its conclusions, its messages, and that it leaves nothing behind."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from handshake_lab.cli.commands import doctor as verb
from handshake_lab.doctor import check, host_checks, host_probe, lab_checks, vm_checks
from handshake_lab.doctor.check import Check, Findings
from handshake_lab.errors import KernelFailed, NetlinkError

GOOD = Check("good", ok=True, detail="fine")
LACK = Check("lack", ok=False, detail="not here\nsecond line", remedy="apt-get install it")
WISH = Check("wish", ok=False, detail="not here", remedy="modprobe it", needed=False)


def findings(kind: str, *made: Check) -> Findings:
    """Findings about one kernel kind."""
    return Findings(kind, "a purpose", made)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> dict[str, Findings]:
    """What the examinations will find; a test may change it."""
    found = {kind: findings(kind, GOOD) for kind in ("lab", "host", "vm")}
    for kind, module in {"lab": lab_checks, "host": host_checks, "vm": vm_checks}.items():
        monkeypatch.setattr(module, "examine", lambda kind=kind: found[kind])
    return found


def test_a_kernel_kind_is_usable_if_nothing_needed_is_lacking() -> None:
    """What is only wished for does not count."""
    assert findings("lab", GOOD, WISH).usable
    assert not findings("lab", GOOD, LACK).usable


@pytest.mark.parametrize(("kind", "status"), [("lab", 3), ("host", 0), ("vm", 0)])
def test_the_exit_status_is_the_lab_kernels(examined: dict[str, Findings], kind: str, status: int) -> None:
    """The other kinds are extras."""
    examined[kind] = findings(kind, LACK)

    assert CliRunner().invoke(verb.command, [], standalone_mode=False).return_value == status
    assert CliRunner().invoke(verb.command, ["--json"], standalone_mode=False).return_value == status


def test_the_document(examined: dict[str, Findings]) -> None:
    """One JSON document with every check of every kind."""
    examined["host"] = findings("host", GOOD, WISH)

    document = json.loads(CliRunner().invoke(verb.command, ["--json"]).stdout)

    assert list(document["kernels"]) == ["lab", "host", "vm"]
    assert document["kernels"]["host"] == {
        "usable": True,
        "checks": [
            {"name": "good", "ok": True, "detail": "fine", "remedy": "", "needed": True},
            {"name": "wish", "ok": False, "detail": "not here", "remedy": "modprobe it", "needed": False},
        ],
    }


def test_the_table_has_each_lack_with_its_remedy(examined: dict[str, Findings]) -> None:
    """A command stands on a line of its own, unbroken, to be copied."""
    long = "apt-get install --no-install-recommends " + " ".join(f"package{number}" for number in range(20))
    examined["lab"] = findings("lab", GOOD, LACK, Check("long", ok=False, detail="x", remedy=long))

    lines = CliRunner().invoke(verb.command, []).stdout.splitlines()

    assert "    lack: apt-get install it" in lines
    assert f"    long: {long}" in lines
    assert not any("second line" in line for line in lines)


def test_the_machines_own_kernel_is_tried_out() -> None:
    """For real, whatever this machine is: every lack has a reason and a remedy, and nothing is left behind."""
    before = set(Path("/sys/class/net").iterdir())

    found = host_checks.examine()

    assert set(Path("/sys/class/net").iterdir()) == before
    assert len({made.name for made in found.checks}) == len(found.checks)
    for made in found.checks:
        assert made.detail
        assert made.ok or made.remedy


def test_programs_that_are_missing_are_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty PATH: the doctor itself must not fall over."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(check, "SYSTEM_PATH", str(tmp_path))

    own = {made.name: made for made in host_checks.examine().checks}
    virtual = {made.name: made for made in vm_checks.examine().checks}

    assert not own["nft"].ok
    assert own["nft"].remedy.endswith("apt-get install --no-install-recommends nftables")
    assert not own["private namespaces"].ok
    assert not virtual["qemu"].ok


def test_features_that_could_not_be_tried_are_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the probe itself fails, no feature is reported as working."""
    monkeypatch.setattr(sys, "executable", "/bin/false")

    found = host_checks._probe(())

    assert set(found) == {feature.name for feature in host_checks._FEATURES}
    assert all("status 1" in reason for reason in found.values())


def test_the_probe_tries_what_the_checks_are_about() -> None:
    """No feature without an attempt, and no attempt without a feature."""
    assert {feature.name for feature in host_checks._FEATURES} == set(host_probe._ATTEMPTS)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            NetlinkError("creating the pair", errno.EOPNOTSUPP, "Unknown device type"),
            "Operation not supported (Unknown device type)",
        ),
        (NetlinkError("creating the pair", errno.EPERM), "Operation not permitted"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "nft"), "there is no nft"),
        (PermissionError(errno.EPERM, "Operation not permitted"), "Operation not permitted"),
    ],
)
def test_what_the_kernel_refuses_is_reported_in_one_line(error: Exception, reason: str) -> None:
    """Its own reason; the feature's name is beside it."""
    assert host_probe._reason(error) == reason


def test_a_missing_program_is_reported_as_such() -> None:
    """And is the ground for offering its package rather than a kernel module."""
    check = host_checks._feature(host_checks._FEATURES[3], {"nftables": "there is no nft"})

    assert check.remedy.endswith("nftables")


def test_without_a_built_kernel_the_lab_is_not_usable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The remedy builds one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    found = lab_checks.examine()

    named = {made.name: made for made in found.checks}
    assert not found.usable
    assert named["lab kernel"].remedy == "./handshake kernel build"
    assert "boot" not in named


def test_a_kernel_that_does_not_boot_is_reported_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a boot proves it, even if all other checks pass."""

    class Dead:
        """A kernel that never comes up."""

        def __init__(self, *_: object, **__: object) -> None:
            """Taking a kernel is no trouble; running it is."""

        def run(self, _job: object) -> None:
            """Fail."""
            raise KernelFailed("it died", "Kernel panic")

    monkeypatch.setattr(lab_checks, "LabKernel", Dead)

    check = lab_checks._boot(object())  # type: ignore[arg-type]

    assert not check.ok
    assert "Kernel panic" in check.detail
    assert check.remedy == "./handshake kernel build --force"


def test_too_little_room_for_the_kernels_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's /dev/shm of 64 MiB is not enough: the kernel would crash during a run."""
    monkeypatch.setattr(lab_checks, "_MEMORY_NEEDED", 1 << 60)

    check = lab_checks._memory()

    assert not check.ok
    assert "--shm-size" in check.remedy
