"""The programs that building a lab kernel takes, and how to get them."""

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
        package: The Debian and Ubuntu package that has it.
        why: What the build does with it.
    """

    program: str
    package: str
    why: str


# Found by tracing the programs that the builds of 6.1 and 7.3 run. What a stock
# kernel's build needs beyond these (libelf, openssl, perl, python, cpio, kmod)
# is for modules, signatures and unwinding tables, none of which the lab kernel has.
BUILD_TOOLS = (
    Tool("gcc", "gcc", "compiles the kernel and the programs beside it"),
    Tool("ld", "binutils", "links it"),
    Tool("make", "make", "drives the build"),
    Tool("flex", "flex", "makes the configuration language's scanner"),
    Tool("bison", "bison", "makes the configuration language's parser"),
    Tool("bc", "bc", "computes the kernel's time constants from HZ"),
    Tool("patch", "patch", "adds to it what lets a running kernel be forked"),
    Tool("tar", "tar", "unpacks the source"),
    Tool("xz", "xz-utils", "unpacks the source"),
)

_HEADERS_PACKAGE = "libc6-dev"
_HEADERS_WHY = "the C library's headers: a lab kernel is an ordinary program"


def install_command(packages: list[str]) -> str:
    """The command that installs these packages, for whoever runs it here."""
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
    """Refuse to begin a build that this machine cannot finish.

    Raises:
        EnvironmentUnsupported: if a tool is missing, or this is no x86 processor.
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
            f"Building the lab kernel needs programs which are not here: {listed}",
            f"Install them: {install_command(packages)}",
        )
