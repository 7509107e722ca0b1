"""On this machine's own kernel: everything happens in private namespaces, and nothing remains afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from handshake_lab.errors import EnvironmentUnsupported, KernelFailed
from handshake_lab.kernel.host.host_kernel import HostKernel
from handshake_lab.kernel.shared import helper_programs
from jobs import job_from_tests
from polling import comes_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
JOBS = "tests.network.guest_jobs"
KILLS = int(os.environ.get("HANDSHAKE_KILLS", "25"))

#: A run that is killed while it is active: a network with faults, and programs in its hosts.
VICTIM = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
from handshake_lab.kernel.host.host_kernel import HostKernel
from handshake_lab.kernel.shared import helper_programs
from jobs import job_from_tests
print("begins", flush=True)
with HostKernel(helper_programs.supervisor(), wall_limit=60).run(job_from_tests("{JOBS}:busy")):
    pass
"""


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A directory for temporary files that no other process uses, so that all remaining files are ours."""
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="isolation-") as folder:
        # Writable by everyone, because runs of an ordinary user use it.
        Path(folder).chmod(0o1777)
        tempfile.tempdir = folder
        yield Path(folder)
        tempfile.tempdir = before


@pytest.fixture(scope="module")
def host(scratch: Path) -> HostKernel:
    """The host kernel, if it can be used."""
    assert scratch
    kernel = HostKernel(helper_programs.supervisor(), wall_limit=60)
    try:
        with kernel.run(job_from_tests(f"{JOBS}:nothing")):
            pass
    except EnvironmentUnsupported as error:
        pytest.skip(str(error))
    return kernel


@pytest.fixture(scope="module")
def do(host: HostKernel) -> Callable[..., Any]:
    """Run a job of `guest_jobs` in private namespaces, and return its result."""

    def run(name: str, argument: Any = None) -> Any:
        with host.run(job_from_tests(f"{JOBS}:{name}", argument=argument)) as outcome:
            assert outcome.status == 0, outcome.console
            return json.loads((outcome.results / "found.json").read_text())

    return run


def belongings(scratch: Path) -> dict[str, list[str]]:
    """Everything that a network could leave behind on this machine, as text that can be compared."""
    found = {}
    for name, words in {
        "links": ["ip", "-o", "link"],
        "addresses": ["ip", "-o", "address"],
        "routes": ["ip", "route", "show", "table", "all"],
        "rules": ["nft", "list", "ruleset"],
        "named namespaces": ["ip", "netns"],
        "settings": ["sysctl", "-a", "--pattern", r"^net\."],
    }.items():
        if shutil.which(words[0]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            # Lifetimes of addresses count down, and these two are counters.
            found[name] = sorted(
                line for line in done.stdout.splitlines() if "_lft" not in line and "conntrack_count" not in line
            )
    found["mounts"] = sorted(Path("/proc/self/mountinfo").read_text().splitlines())
    found["processes"] = [line for line in processes() if str(scratch) in line]
    found["names"] = [
        hashlib.sha256(file.read_bytes()).hexdigest()
        for file in (Path("/etc/hosts"), Path("/etc/resolv.conf"))
        if file.exists()
    ]
    found["files"] = sorted(str(path) for folder in (scratch, Path("/run/netns")) for path in folder.glob("*"))
    return found


def processes() -> list[str]:
    """The command lines of all visible processes."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has exited meanwhile
    return found


def settled(scratch: Path, before: dict[str, list[str]]) -> dict[str, list[str]]:
    """The differences after all processes of the test have exited (the kernel cleans up with a delay)."""

    def differing() -> dict[str, list[str]]:
        after = belongings(scratch)
        changed = {name: sorted(set(after[name]) ^ set(before[name])) for name in before}
        return {name: lines for name, lines in changed.items() if lines}

    comes_true(lambda: not differing())
    return differing()


def test_a_network_works_in_a_private_world(do: Callable[..., Any]) -> None:
    """Faults of the packet filter and of the middlebox work there, in real time."""
    found = do("host_faults", ["drop SYN nth=1 from h1", "delay FIN 50ms nth=1 from h1"])

    assert found["reports"] == [["drop SYN nth=1 from h1", 1], ["delay FIN 50ms nth=1 from h1", 1]]
    assert found["trouble"] == ""
    assert found["names"] == "10.0.0.2"


def test_a_kernel_without_netem_refuses_what_it_cannot_do(do: Callable[..., Any]) -> None:
    """With the right kind of error and a remedy; with netem, the link is as requested."""
    error, message = do("host_delay")

    assert error in ("", "EnvironmentUnsupported")
    if error:
        assert "modprobe sch_netem" in message
        assert "--kernel lab" in message


def test_the_machine_is_as_before(do: Callable[..., Any], scratch: Path) -> None:
    """Interfaces, addresses, routes, rules, settings, mounts, processes and files: byte for byte."""
    before = belongings(scratch)

    do("host_faults", ["drop SYN nth=1", "hold RST optional"])

    assert settled(scratch, before) == {}


def test_any_number_runs_side_by_side(do: Callable[..., Any]) -> None:
    """Eight concurrent networks with the same names and addresses."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: do("host_faults", ["drop SYN nth=1"]), range(8)))

    assert [each["reports"] for each in found] == [[["drop SYN nth=1", 1]]] * 8


def test_nothing_is_left_after_being_killed_at_any_moment(host: HostKernel, scratch: Path) -> None:
    """SIGKILL of the caller, many times (HANDSHAKE_KILLS: how many), each at another time of a run."""
    assert host
    before = belongings(scratch)
    chance = random.Random(7)  # noqa: S311 -- not a secret
    for _ in range(KILLS):
        victim = subprocess.Popen(
            [sys.executable, "-c", VICTIM],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        assert victim.stdout is not None
        victim.stdout.readline()
        time.sleep(chance.uniform(0, 0.4))
        victim.kill()
        victim.wait()
        victim.stdout.close()

    assert settled(scratch, before) == {}


def test_a_run_that_does_not_end_reports_how_to_get_longer(host: HostKernel, scratch: Path) -> None:
    """A run that takes too long is killed with all its processes, and the message contains the remedy."""
    assert host
    before = belongings(scratch)
    hurried = HostKernel(helper_programs.supervisor(), wall_limit=2)

    with (
        pytest.raises(KernelFailed, match=r"killed after 2 s of wall time: .* too busy .*--wall-limit"),
        hurried.run(job_from_tests("tests.kernel.guest_jobs:wait_for_ever")),
    ):
        pass

    assert settled(scratch, before) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="it is run as an ordinary user already")
def test_an_ordinary_user_can_do_it_too(host: HostKernel, scratch: Path) -> None:
    """Without any privilege, if the machine permits user namespaces."""
    assert host
    for folder in (ROOT, Path(sys.prefix), Path(sys.base_prefix)):
        if any(not above.stat().st_mode & 0o001 for above in (folder, *folder.parents)):
            pytest.skip(f"an ordinary user cannot reach {folder}")
    program = VICTIM.replace("busy", "host_names").replace("    pass", "    print(_.status)").replace(")):", ")) as _:")
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "HOME": str(scratch), "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(scratch)},
    )

    assert (done.returncode, done.stdout) == (0, "begins\n0\n"), done.stderr
