"""One file for a room without internet: the lab kernel, all Python packages, units, and a script that installs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import distribution, requires, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.packaging.wheel import write_wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from handshake_lab.courses.unit import Unit
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

#: The folder that the archive contains.
FOLDER = "handshake-class"
_PACKAGE = "handshake-lab"
_FILES = Path(__file__).with_name("classroom")
_INSTALLER = "install.sh"
#: What building the package needs of a checkout.
_SOURCE = ("pyproject.toml", "README.md", "harness/handshake_lab")
_SHOWN_LINES = 15


def write_bundle(
    file: Path, image: LabKernelImage, units: Sequence[Unit], pythons: Sequence[str] = (), extras: Sequence[str] = ()
) -> None:
    """Write the archive. It needs a package index; installing from the archive needs no network.

    Args:
        file: The archive, which must not exist.
        image: The lab kernel.
        units: Units that are not of this package.
        pythons: Versions of Python that the room has besides that of this process: "3.12".
        extras: Extras of this package besides ``kernel``: "notebook", "serve".

    Raises:
        UsageError: The file exists, or cannot be written; a version is invalid.
        EnvironmentUnsupported: pip is missing, or did not get all packages.
        KernelFailed: The kernel's wheel could not be built.
    """
    for python in pythons:
        if not re.fullmatch(r"3\.\d+", python):
            raise UsageError("--python", python, "is not a version of Python", "--python 3.12")
    try:
        with file.open("xb") as archive, tempfile.TemporaryDirectory(prefix="handshake-class-") as scratch:
            place = Path(scratch) / FOLDER
            _collect(place, image, pythons, ",".join(["kernel", *extras]))
            for unit in units:
                shutil.copytree(unit.folder, place / "units" / unit.name)
            with tarfile.open(fileobj=archive, mode="w") as packed:
                packed.add(place, FOLDER, filter=_anybodys)
    except FileExistsError:
        raise UsageError("FILE", str(file), "exists", f"handshake course bundle another-{file.name}") from None
    except OSError as error:
        file.unlink(missing_ok=True)
        raise UsageError(
            "FILE", str(file), f"cannot be written ({error.strerror})", "handshake course bundle class.tar"
        ) from None
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def _collect(place: Path, image: LabKernelImage, pythons: Sequence[str], extras: str) -> None:
    """Collect the wheels, and write the files beside them."""
    wheels = place / "wheels"
    write_wheel(image, wheels)
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = [each for each in dict.fromkeys(pythons) if each != own]
    with tempfile.TemporaryDirectory(prefix="handshake-source-") as source:
        wanted = _requirement(Path(source), extras)
        _pip("wheel", "--wheel-dir", str(wheels), "--find-links", str(wheels), wanted)
    package = f"{_PACKAGE}[{extras}]=={version(_PACKAGE)}"
    # pip judges the conditions of requirements by the Python that runs it: those of other versions are asked for here.
    conditional = [each.partition(";")[0].strip() for each in requires(_PACKAGE) or () if "python_version" in each]
    for python in others:
        options = ["--only-binary", ":all:", "--python-version", python, "--dest", str(wheels)]
        _pip("download", *options, "--find-links", str(wheels), package, *conditional)
    for each in _FILES.iterdir():
        text = each.read_text("utf-8").replace("@pythons@", " ".join([own, *others])).replace("@package@", package)
        (place / each.name).write_text(text, "utf-8")
    (place / _INSTALLER).chmod(0o755)


def _requirement(copy: Path, extras: str) -> str:
    """From where pip gets this package: its source or its wheel if they are on this machine, otherwise its index.

    Source: direct_url.json (PEP 610) of the installed package.
    """
    recorded = distribution(_PACKAGE).read_text("direct_url.json")
    origin = Path(unquote(urlsplit(msgspec.json.decode(recorded)["url"]).path)) if recorded else Path()
    if origin.suffix == ".whl" and origin.is_file():
        return f"{origin}[{extras}]"
    if not (origin / _SOURCE[0]).is_file():
        return f"{_PACKAGE}[{extras}]=={version(_PACKAGE)}"
    # setuptools builds in the tree, and leaves files there: in a copy it disturbs nobody.
    for name in _SOURCE:
        if (origin / name).is_dir():
            shutil.copytree(origin / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(origin / name, copy / name)
    return f"{copy}[{extras}]"


def _pip(*words: str) -> None:
    """Run pip.

    Raises:
        EnvironmentUnsupported: It failed.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = "\n".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise EnvironmentUnsupported(
            f"pip {words[0]} failed:\n{said}", "The bundle is made on a machine with pip and a package index."
        )


def _anybodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of the archive without an owner, readable for all."""
    runs = member.isdir() or member.name.endswith(".sh")
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if runs else 0o644
    return member
