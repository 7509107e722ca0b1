"""The files of a distributed lab kernel: reproducible, and with the files that its licence requires.

A lab kernel is a work based on Linux. Therefore it is distributed with the text of the GPL and everything needed to
build it again: the name of the source package, the patches, the changes, the configuration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.lab.build import configuration, patch_series
from handshake_lab.kernel.shared import helper_programs

if TYPE_CHECKING:
    from handshake_lab.kernel.lab.lab_images import LabKernelImage

_LICENCE = Path(__file__).with_name("GPL-2.0.txt")

# Without the time and duration of the build, which differ between two builds.
_BUILT = "2000-01-01T00:00:00+00:00"
_DESCRIPTION = ("version", "release", "key", "hz", "origin", "size", "compiled_files", "forks")

_SOURCE = """\
# Source of this kernel

`kernels/{name}/linux` is Linux {release}, built as User-Mode Linux. It is distributed under the GNU General Public
License, version 2 (GPL-2.0.txt), like the patches. The programs in `helpers` are part of Handshake Lab (Apache-2.0).

It was built from the Debian package `{origin}`, which Debian's archive of all packages (snapshot) keeps, with

- the patches in `patches`, in the order of their names,
- the changes that `configuration.py` lists, and
- the configuration `kernels/{name}/config`,

by `handshake kernel build`. For three years from the day on which you received this file, the project sends the
complete source to anybody who asks for it in an issue on its page, for no more than the cost of sending it.
"""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file.

    Attributes:
        name: Its path below a place's root, with "/".
        content: Its bytes.
        executable: Whether it is a program.
    """

    name: str
    content: bytes
    executable: bool = False


def image_files(image: LabKernelImage) -> list[ImageFile]:
    """All files of a kernel, sorted by name.

    Raises:
        EnvironmentUnsupported: It was built by another version of this package, whose configuration is not known.
    """
    if not image.current:
        raise EnvironmentUnsupported(
            f"Linux {image.release} in {image.directory} was built by another version of handshake",
            f"Build it again: handshake kernel build --version {image.version}",
        )
    name = directory_name(image)
    about = json.loads((image.directory / "kernel.json").read_bytes())
    about = {field: about[field] for field in _DESCRIPTION} | {"built": _BUILT}
    files = [
        ImageFile(f"kernels/{name}/linux", image.linux.read_bytes(), executable=True),
        ImageFile(f"kernels/{name}/config", (image.directory / "config").read_bytes()),
        ImageFile(f"kernels/{name}/kernel.json", json.dumps(about, indent=2, sort_keys=True).encode() + b"\n"),
        ImageFile("GPL-2.0.txt", _LICENCE.read_bytes()),
        ImageFile("SOURCE.md", _SOURCE.format(name=name, release=image.release, origin=image.origin).encode()),
        ImageFile("configuration.py", Path(configuration.__file__).read_bytes()),
    ]
    files += [ImageFile(f"patches/{patch.name}", patch.read_bytes()) for patch in patch_series.series()]
    for source in helper_programs.SOURCES:
        program = helper_programs.product(source.stem)
        content = (image.helpers / program).read_bytes()
        files.append(ImageFile(f"helpers/{helper_programs.key()}/{program}", content, executable=True))
        files.append(ImageFile(f"helpers/{source.name}", source.read_bytes()))
    return sorted(files, key=lambda file: file.name)


def directory_name(image: LabKernelImage) -> str:
    """The name of a kernel's directory in every place: "7.3.4-0123456789ab"."""
    return f"{image.release}-{image.key}"
