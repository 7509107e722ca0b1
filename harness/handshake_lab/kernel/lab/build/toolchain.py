"""The programs that the build of a lab kernel needs, and how to install them."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass

from handshake_lab.errors import EnvironmentUnsupported


@dataclass(frozen=True, slots=True)
class Tool:
    """A program the build runs.

    Attributes:
        program: Its name on PATH.
        package: The Debian and Ubuntu package that contains it.
        why: What the build does with it.
    """

    program: str
    package: str
    why: str


# Determined by tracing the programs that the builds of 6.1 and 7.3 run. The build of a
# stock kernel also needs libelf, openssl, perl, python, cpio and kmod, for modules,
# signatures and unwinding tables; the lab kernel has none of these.
BUILD_TOOLS = (
    Tool("gcc", "gcc", "compiles the kernel and the programs beside it"),
    Tool("ld", "binutils", "links it"),
    Tool("make", "make", "drives the build"),
    Tool("flex", "flex", "generates the scanner of the configuration language"),
    Tool("bison", "bison", "generates the parser of the configuration language"),
    Tool("bc", "bc", "computes the kernel's time constants from HZ"),
    Tool("patch", "patch", "applies the patches for forking a running kernel"),
    Tool("tar", "tar", "unpacks the source"),
    Tool("xz", "xz-utils", "unpacks the source"),
)

_HEADERS_PACKAGE = "libc6-dev"
_HEADERS_WHY = "the C library's headers: a lab kernel is an ordinary program"


def install_command(packages: list[str]) -> str:
    """The command that installs these packages, with sudo unless this user is root."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(packages)}"


def has_headers() -> bool:
    """Whether the compiler finds the C library's headers."""
    probe = subprocess.run(
        ["gcc", "-E", "-o", os.devnull, "-"],
        input=b"#include <sys/random.h>\n",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return probe.returncode == 0


def missing() -> list[Tool]:
    """The tools that this machine lacks."""
    lacking = [tool for tool in BUILD_TOOLS if shutil.which(tool.program) is None]
    compiler_missing = any(tool.program == "gcc" for tool in lacking)
    if compiler_missing or not has_headers():
        lacking.append(Tool(_HEADERS_PACKAGE, _HEADERS_PACKAGE, _HEADERS_WHY))
    return lacking


def demand() -> None:
    """Check that this machine can build a lab kernel.

    Raises:
        EnvironmentUnsupported: A tool is missing, or the processor is not x86-64.
    """
    if platform.machine() != "x86_64":
        raise EnvironmentUnsupported(
            f"The lab kernel is User-Mode Linux, which exists for x86-64 only; this machine is {platform.machine()}",
            "Use this machine's own kernel: --kernel host",
        )
    lacking = missing()
    if lacking:
        listed = "; ".join(f"{tool.program} ({tool.why})" for tool in lacking)
        packages = list(dict.fromkeys(tool.package for tool in lacking))
        raise EnvironmentUnsupported(
            f"Building the lab kernel needs programs that are not installed: {listed}",
            f"Install them: {install_command(packages)}; or a built kernel: pip install 'handshake-lab[kernel]'",
        )
