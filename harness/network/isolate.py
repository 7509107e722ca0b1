"""Running a program in a world of its own on this machine's kernel.

Private user, network, mount, process, IPC and host-name namespaces: whatever is made there
(interfaces, rules, mounts, files in /tmp and /run, processes) is gone when the program ends,
however it ends, and nothing of the machine's own is changed. Any number run side by side.

The world is held by its first process. That one dies with its parent, and its parent with
the caller, so that SIGKILL of any of them leaves nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

from harness.errors import EnvironmentUnsupported, KernelFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_INNER = Path(__file__).with_name("_isolated.py")
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]

_REMEDY = (
    "Where unprivileged user namespaces are switched off, allow them (Ubuntu: sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0; Debian: sysctl kernel.unprivileged_userns_clone=1; "
    "in a container: the option --privileged), or run it with sudo; --kernel lab needs none of this."
)


def run(
    argv: Sequence[str],
    *,
    results: Path | None = None,
    timeout: float | None = None,
    env: Mapping[str, str] | None = None,
    readable: Iterable[Path] = (),
    stdout: IO[bytes] | IO[str] | int | None = None,
    stderr: IO[bytes] | IO[str] | int | None = None,
) -> int:
    """Run a program as root of a private world, to its end.

    /tmp, /run, /var/tmp and /dev/shm are empty there and private; the rest of the file
    system is as it is outside, with the caller's rights. HANDSHAKE_PRIVATE is 1.

    Args:
        argv: The program and its arguments.
        results: A directory that is the same inside and outside, wherever it is.
        timeout: Seconds after which everything in there is killed.
        env: The environment; the caller's, if not given.
        readable: Further directories that are to be seen though they are below /tmp or /run.
        stdout: As for `subprocess.Popen`.
        stderr: As for `subprocess.Popen`.

    Returns:
        The program's exit status; 128 and the number of the signal that killed it.

    Raises:
        EnvironmentUnsupported: This machine does not allow such namespaces.
        KernelFailed: It took longer than ``timeout``.
    """
    shown = [Path(sys.prefix), Path(sys.base_prefix), _PACKAGE_ROOT, *readable]
    setup = {
        "argv": list(argv),
        "results": str(results.resolve()) if results else None,
        "shown": [str(path.resolve()) for path in shown],
        "parent": os.getpid(),
    }
    environment = {**(os.environ if env is None else env), "HANDSHAKE_PRIVATE": "1"}
    told, tell = os.pipe()
    with os.fdopen(told, "rb") as news:
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_INNER), str(tell), json.dumps(setup)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                pass_fds=(tell,),
            )
        finally:
            os.close(tell)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise KernelFailed(f"{argv[0]} was still running after {timeout} s, and was killed") from error
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        trouble = news.read().decode()
    if trouble:
        raise EnvironmentUnsupported(f"This machine does not let a program have a world of its own: {trouble}", _REMEDY)
    return status
