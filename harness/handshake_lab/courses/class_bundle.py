"""One file for a room without internet: the lab kernel, all Python packages, units, and a script that installs them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email import message_from_bytes
from importlib.metadata import distribution, version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.requirements import Requirement  # pytest, which this package needs, brings packaging
from packaging.utils import canonicalize_name, parse_wheel_filename

from handshake_lab.errors import EnvironmentUnsupported, UsageError
from handshake_lab.kernel.lab.packaging.wheel import write_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from handshake_lab.courses.unit import Unit
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

#: The folder that the archive contains.
FOLDER = "handshake-class"
_PACKAGE = "handshake-lab"
_FILES = Path(__file__).with_name("classroom")
_INSTALLER = "install.sh"
#: What building the package needs of a checkout.
_SOURCE = ("pyproject.toml", "README.md", "harness/handshake_lab")
#: What students do not get of a unit: the solutions of its programs, and what is no part of it.
_NOT_PACKED = ("mended-*", "__pycache__", ".git")
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
        UsageError: The file exists, or cannot be written; a version is invalid; two units have one name.
        EnvironmentUnsupported: pip is missing, or did not get all packages; a unit cannot be read; a disk is full.
        KernelFailed: The kernel's wheel could not be built.
    """
    for python in pythons:
        if not re.fullmatch(r"3\.\d+", python):
            raise UsageError("--python", python, "is not a version of Python", "--python 3.12")
    for unit in units:
        if [each.name for each in units].count(unit.name) > 1:
            reason = f"is one of several units with the name {unit.name}"
            raise UsageError("--unit", str(unit.folder), reason, "--unit my-unit --unit another-unit")
    try:
        archive = file.open("xb")
    except FileExistsError:
        raise UsageError("FILE", str(file), "exists", f"handshake course bundle another-{file.name}") from None
    except OSError as error:
        raise UsageError(
            "FILE", str(file), f"cannot be written ({error.strerror})", "handshake course bundle class.tar"
        ) from None
    try:
        with archive, tempfile.TemporaryDirectory(prefix="handshake-class-") as scratch:
            place = Path(scratch) / FOLDER
            _collect(place, image, pythons, ",".join(["kernel", *extras]))
            for unit in units:
                shutil.copytree(unit.folder, place / "units" / unit.name, ignore=shutil.ignore_patterns(*_NOT_PACKED))
            with tarfile.open(fileobj=archive, mode="w") as packed:
                packed.add(place, FOLDER, filter=_without_owner)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise EnvironmentUnsupported(
                f"the bundle could not be packed: {error}",
                f"Free space for {file} and in {tempfile.gettempdir()}, and let all files of the units be readable.",
            ) from error
        raise


def _collect(place: Path, image: LabKernelImage, pythons: Sequence[str], extras: str) -> None:
    """Collect the wheels, and write the files beside them."""
    wheels = place / "wheels"
    kernel = str(write_wheel(image, wheels))
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = [each for each in dict.fromkeys(pythons) if each != own]
    with tempfile.TemporaryDirectory(prefix="handshake-source-") as source:
        wanted = _requirement(Path(source), extras)
        _pip("wheel", "--wheel-dir", str(wheels), "--find-links", str(wheels), wanted, kernel)
    package = f"{_PACKAGE}[{extras}]=={version(_PACKAGE)}"
    # pip judges the conditions of requirements by the Python that runs it: what others need besides is asked for here.
    for python in others:
        options = ["--only-binary", ":all:", "--python-version", python, "--dest", str(wheels)]
        options += ["--find-links", str(wheels)]
        wanted_here, asked = {package, kernel}, set[str]()
        while wanted_here:
            _pip("download", *options, *sorted(wanted_here))
            asked |= wanted_here
            wanted_here = missing_requirements(_metadata(wheels, python), package, python) - asked
    for each in _FILES.iterdir():
        text = each.read_text("utf-8").replace("@pythons@", " ".join([own, *others])).replace("@package@", package)
        (place / each.name).write_text(text, "utf-8")
    (place / _INSTALLER).chmod(0o755)


def missing_requirements(metadata: Mapping[str, Sequence[str]], package: str, python: str) -> set[str]:
    """What a package needs with a version of Python, itself and through others, of which there is no wheel.

    Args:
        metadata: For each package of which there is a wheel, by its canonical name, its ``Requires-Dist``.
        package: The package with its extras, as a requirement.
        python: The version: "3.12".
    """
    pending, done, missing = [Requirement(package)], set[tuple[str, str]](), set[str]()
    while pending:
        wanted = pending.pop()
        name = canonicalize_name(wanted.name)
        if name not in metadata:
            wanted.marker = None
            missing.add(str(wanted))
            continue
        for extra in {"", *wanted.extras} - {each for known, each in done if known == name}:
            done.add((name, extra))
            setting = {"extra": extra, "python_version": python, "python_full_version": f"{python}.0"}
            needs = map(Requirement, metadata[name])
            pending += [each for each in needs if each.marker is None or each.marker.evaluate(setting)]
    return missing


def _metadata(wheels: Path, python: str) -> dict[str, list[str]]:
    """The ``Requires-Dist`` of the wheels that a version of Python can use, by the packages' canonical names."""
    found: dict[str, list[str]] = {}
    for file in wheels.glob("*.whl"):
        name, _, _, tags = parse_wheel_filename(file.name)
        own = "cp" + python.replace(".", "")
        if not any(tag.interpreter.startswith("py") or tag.interpreter == own or tag.abi == "abi3" for tag in tags):
            continue
        with zipfile.ZipFile(file) as wheel:
            member = next(each for each in wheel.namelist() if each.count("/") == 1 and each.endswith("info/METADATA"))
            headers = message_from_bytes(wheel.read(member))
        found.setdefault(name, []).extend(headers.get_all("Requires-Dist", []))
    return found


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
        printed = "\n".join(done.stderr.strip().splitlines()[-_SHOWN_LINES:])
        raise EnvironmentUnsupported(
            f"pip {words[0]} failed:\n{printed}", "The bundle is made on a machine with pip and a package index."
        )


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """A member of the archive without an owner, readable for all."""
    runs = member.isdir() or member.name.endswith(".sh")
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if runs else 0o644
    return member
