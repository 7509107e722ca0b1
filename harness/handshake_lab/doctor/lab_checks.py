"""Checks for ``--kernel lab``: a kernel that runs as an ordinary process."""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.doctor.check import Check, Findings, apt_install, program
from handshake_lab.errors import EnvironmentUnsupported, HandshakeError
from handshake_lab.kernel.lab.build import toolchain
from handshake_lab.kernel.lab.lab_boot import memory_directory
from handshake_lab.kernel.lab.lab_images import LabImages
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.shared.cache import MIB
from handshake_lab.kernel.shared.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

_BUILD = "./handshake kernel build"

# What a run with two hosts uses of its memory, and some reserve.
_MEMORY_NEEDED = 256 * MIB

_BOOT_LIMIT = 30.0  # seconds of wall time; a boot takes a fifth of one


def examine() -> Findings:
    """Check the lab kernel and boot it once; takes about half a second."""
    image = LabImages().find()
    checks = [
        _user(),
        _processor(),
        _tracing(),
        _seccomp(),
        _randomisation(),
        _counter(),
        _memory(),
        _scratch(),
        _image(image),
    ]
    checks += _build_tools(needed=image is None)
    checks += [program(*wanted) for wanted in (("ss", "iproute2"), ("nft", "nftables"))]
    if image is not None:
        checks.append(_boot(image))
        checks.append(_fork(image))
    return Findings("lab", "a separate kernel, in virtual time, without root", tuple(checks))


def do_nothing(_argument: object, _results: Path) -> None:
    """The job of a kernel that is booted only to check that it boots."""


def _user() -> Check:
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = "no name"
    return Check("user", ok=True, detail=f"{uid} ({name}); root is not needed")


def _processor() -> Check:
    machine = os.uname().machine
    ok = machine == "x86_64"
    remedy = "" if ok else "use --kernel host: User-Mode Linux exists for x86-64 only"
    return Check("processor", ok=ok, detail=machine, remedy=remedy)


def _tracing() -> Check:
    """Check that a process may trace its own child, as User-Mode Linux does."""
    trace_me, trap = 0, 0x7F
    libc = ctypes.CDLL(None, use_errno=True)
    child = os.fork()
    if child == 0:
        if libc.ptrace(trace_me, 0, None, None) == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(trap)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return Check("ptrace", ok=True, detail="a process may trace its children")
    remedy = "docker run --cap-add SYS_PTRACE --security-opt seccomp=unconfined, or sysctl kernel.yama.ptrace_scope=1"
    return Check("ptrace", ok=False, detail="a process may not trace its own child", remedy=remedy)


def _seccomp() -> Check:
    actions = Path("/proc/sys/kernel/seccomp/actions_avail")
    ok = actions.exists() and "trap" in actions.read_text(encoding="ascii").split()
    detail = (
        "filters can trap system calls"
        if ok
        else "filters cannot trap system calls; runs use ptrace, at half the speed"
    )
    return Check("seccomp", ok=ok, detail=detail, needed=False)


def _in_child(attempt: Callable[[ctypes.CDLL], bool]) -> bool:
    """Whether an attempt succeeds in a child process, which it may change."""
    child = os.fork()
    if child == 0:
        os._exit(0 if attempt(ctypes.CDLL(None, use_errno=True)) else 1)
    return os.waitpid(child, 0)[1] == 0


def _randomisation() -> Check:
    """Check whether the kernel's own process may switch off address randomisation; its guests have none anyway."""
    no_randomize = 0x40000  # include/uapi/linux/personality.h
    ok = _in_child(lambda libc: libc.personality(no_randomize) >= 0)
    detail = (
        "a process may switch it off"
        if ok
        else "personality() is refused, as by a container's seccomp profile; records are the same nevertheless"
    )
    return Check("address randomisation", ok=ok, detail=detail, needed=False)


def _counter() -> Check:
    """Check whether reading the time-stamp counter can be trapped, which programs in a lab kernel must not see."""
    set_tsc, trap = 26, 2  # PR_SET_TSC, PR_TSC_SIGSEGV: include/uapi/linux/prctl.h
    ok = _in_child(lambda libc: libc.prctl(set_tsc, trap, 0, 0, 0) == 0)
    detail = (
        "programs read virtual time from it"
        if ok
        else "cannot be trapped: runs of programs that read it (Go, for example) do not repeat"
    )
    return Check("time-stamp counter", ok=ok, detail=detail, needed=False)


def _memory() -> Check:
    """Check the directory for the kernel's memory file: it must permit execution, and be large enough."""
    try:
        directory = memory_directory()
    except EnvironmentUnsupported as error:
        return Check("memory file", ok=False, detail=error.lack, remedy=error.remedy)
    free = shutil.disk_usage(directory).free
    detail = f"{directory}: executable, {free // MIB} MiB free"
    if free < _MEMORY_NEEDED:
        remedy = f"give it {_MEMORY_NEEDED // MIB} MiB (in a container: --shm-size=1g), or set TMPDIR to a larger place"
        return Check("memory file", ok=False, detail=detail, remedy=remedy)
    return Check("memory file", ok=True, detail=detail)


def _scratch() -> Check:
    try:
        with tempfile.TemporaryDirectory(prefix="handshake-") as directory:
            return Check("results directory", ok=True, detail=str(Path(directory).parent))
    except OSError as error:
        remedy = "set TMPDIR to a directory you can write to"
        return Check("results directory", ok=False, detail=str(error), remedy=remedy)


def _image(image: LabKernelImage | None) -> Check:
    if image is not None:
        return Check("lab kernel", ok=True, detail=f"Linux {image.release}, HZ={image.hz}, from {image.origin}")
    others = LabImages().images()
    if any(other.current for other in others):
        detail = "there is one, but its helper programs are outdated"
    elif others:
        detail = f"none of the current configuration (only {', '.join(other.release for other in others)})"
    else:
        detail = "none built yet"
    return Check("lab kernel", ok=False, detail=detail, remedy=_BUILD)


def _build_tools(*, needed: bool) -> list[Check]:
    missing = toolchain.missing()
    if not missing:
        return [Check("build tools", ok=True, detail="all installed", needed=needed)]
    names = ", ".join(f"{tool.program} ({tool.why})" for tool in missing)
    remedy = apt_install(*dict.fromkeys(tool.package for tool in missing))
    return [Check("build tools", ok=False, detail=f"missing: {names}", remedy=remedy, needed=needed)]


def _boot(image: LabKernelImage) -> Check:
    """Boot the kernel, run a job and power off."""
    kernel = LabKernel(image, wall_limit=_BOOT_LIMIT)
    try:
        with kernel.run(Job(call="handshake_lab.doctor.lab_checks:do_nothing")) as outcome:
            status = outcome.status
    except HandshakeError as error:
        return Check("boot", ok=False, detail=str(error), remedy=f"{_BUILD} --force")
    if status != 0:
        return Check("boot", ok=False, detail=f"a job in it ended with status {status}", remedy=f"{_BUILD} --force")
    return Check("boot", ok=True, detail=f"Linux {image.release} booted, ran a job and powered off")


def _fork(image: LabKernelImage) -> Check:
    """Fork a parked kernel for a job; if that fails, a kernel boots for every test."""
    slower = "kernels boot for every test"
    if not image.forks:
        detail = f"Linux {image.release} was built without the patches for forking; {slower}"
        return Check("fork", ok=False, detail=detail, remedy=_BUILD, needed=False)
    kernel = LabKernel(image, wall_limit=_BOOT_LIMIT, fresh_boot=False)
    try:
        with kernel.run(Job(call="handshake_lab.doctor.lab_checks:do_nothing")):
            pass
    except HandshakeError as error:
        return Check("fork", ok=False, detail=str(error), remedy=f"{_BUILD} --force", needed=False)
    if not kernel.forks:
        remedy = "allow executable memory files (sysctl vm.memfd_noexec=0 or 1) and enough memory and processes"
        return Check("fork", ok=False, detail=f"this machine does not permit it; {slower}", remedy=remedy, needed=False)
    return Check("fork", ok=True, detail="a parked kernel was forked for a job")
