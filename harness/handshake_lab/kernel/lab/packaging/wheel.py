"""A lab kernel as a wheel, with which ``pip install handshake-lab[kernel]`` needs no compiler, source or build."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, KernelFailed
from handshake_lab.kernel.lab.packaging.image_files import ImageFile, image_files
from handshake_lab.kernel.shared import places
from handshake_lab.kernel.shared.processes import plain_environment

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

# The oldest date that a zip archive can hold: two builds have the same bytes.
_EPOCH = "315532800"

_PROJECT = """\
[build-system]
requires = ["setuptools>=70.1"]
build-backend = "setuptools.build_meta"

[project]
name = "handshake-lab-kernel"
version = "{version}"
description = "The lab kernel of Handshake Lab: Linux {release} as an ordinary process ({key})"
readme = "{package}/SOURCE.md"
license = {{ text = "GPL-2.0-only" }}
requires-python = ">=3.11"

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
{package} = ["**/*"]
"""

# Run by a Python that has setuptools: the project's directory is the current one.
_BUILD = """\
import sys
from setuptools import build_meta
options = ["--python-tag", "py3", "--plat-name", sys.argv[2]]
print(build_meta.build_wheel(sys.argv[1], {"--build-option": options}))
"""

_INIT = '"""The lab kernel of Handshake Lab; SOURCE.md says what it was built from."""\n'


def write_wheel(image: LabKernelImage, directory: Path) -> Path:
    """Build the wheel, which has the same bytes for the same kernel.

    Args:
        image: The kernel.
        directory: The directory for the wheel; created if it is missing.

    Returns:
        The wheel.

    Raises:
        EnvironmentUnsupported: The kernel is not of this version, or there is no setuptools.
        KernelFailed: setuptools failed.
    """
    files = image_files(image)
    floor = glibc_floor(files)
    with tempfile.TemporaryDirectory(prefix="handshake-wheel-") as scratch:
        project = Path(scratch)
        package = project / places.WHEEL_PACKAGE
        package.mkdir()
        text = _PROJECT.format(
            version=version("handshake-lab"), release=image.release, key=image.key, package=places.WHEEL_PACKAGE
        )
        (project / "pyproject.toml").write_text(text, encoding="utf-8")
        for file in [ImageFile("__init__.py", _INIT.encode()), *files]:
            path = package / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
            path.chmod(0o755 if file.executable else 0o644)
        platform = f"manylinux_{floor[0]}_{floor[1]}_x86_64"
        return _build(project, directory, platform)


def glibc_floor(files: list[ImageFile]) -> tuple[int, int]:
    """The oldest version of glibc with which all programs among the files run: (2, 34).

    Source: the names of the symbol versions that an ELF file needs are in its dynamic string table ("GLIBC_2.34").
    """
    needed = {
        (int(major), int(minor))
        for file in files
        if file.executable
        for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)", file.content)
    }
    return max(needed)


def _build(project: Path, directory: Path, platform: str) -> Path:
    try:
        installed = version("setuptools")
    except PackageNotFoundError:
        installed = "none"
    if installed == "none" or tuple(map(int, installed.split(".")[:2])) < (70, 1):
        raise EnvironmentUnsupported(
            f"Building a wheel needs setuptools 70.1 or newer; installed is {installed}",
            f"Install it: {sys.executable} -m pip install 'setuptools>=70.1'",
        )
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", _BUILD, str(directory.resolve()), platform],
        cwd=project,
        # setuptools reads settings of the user, and writes the modes of its own files into the wheel.
        env=plain_environment(
            {"SOURCE_DATE_EPOCH": _EPOCH, "HOME": str(project), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        ),
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise KernelFailed(f"setuptools could not build the wheel (status {done.returncode})", done.stderr)
    return directory / done.stdout.splitlines()[-1]
