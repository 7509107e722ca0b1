"""The kernel with which this version of the package was released: its digests, and checking against them.

`KERNELS` holds the SHA-256 of ``linux`` by the name of the kernel's directory, `WHEEL` the requirement that makes pip
install exactly the released wheel. Both are written by ``python -m handshake_lab.kernel.lab.packaging.released``, which
takes this machine's newest kernel; the workflow that releases a version compares them with what it has built.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.lab.packaging.image_files import directory_name

KERNELS = Path(__file__).with_name("released.json")
WHEEL = Path(__file__).with_name("released-wheel.txt")


def released() -> dict[str, str]:
    """The released kernels: the SHA-256 of ``linux``, by `directory_name`."""
    digests: dict[str, str] = json.loads(KERNELS.read_bytes())
    return digests


def demand(name: str, linux: bytes, expected: str) -> None:
    """Refuse a kernel that has the name of a released one, but another SHA-256.

    Args:
        name: Its `directory_name`.
        linux: Its program.
        expected: The released SHA-256.

    Raises:
        EnvironmentUnsupported: The SHA-256 is not the released one.
    """
    actual = hashlib.sha256(linux).hexdigest()
    if actual != expected:
        raise EnvironmentUnsupported(
            f"The kernel {name} is not the one that was released: its SHA-256 is {actual}, not {expected}",
            "If you trust it, add the digest that 'handshake kernel export' printed: --sha256 DIGEST",
        )


def main() -> None:
    """Write both files for the newest current kernel of this machine.

    Raises:
        EnvironmentUnsupported: There is none, or its wheel cannot be built.
    """
    # Whoever imports a kernel needs neither.
    from handshake_lab.kernel.lab.lab_images import LabImages  # noqa: PLC0415
    from handshake_lab.kernel.lab.packaging.wheel import write_wheel  # noqa: PLC0415

    image = LabImages().find()
    if image is None:
        raise EnvironmentUnsupported("There is no current lab kernel to release", "Build it: handshake kernel build")
    linux = hashlib.sha256(image.linux.read_bytes()).hexdigest()
    KERNELS.write_text(json.dumps({directory_name(image): linux}, indent=2) + "\n", encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        wheel = hashlib.sha256(write_wheel(image, Path(directory)).read_bytes()).hexdigest()
    requirement = f"handshake-lab-kernel=={version('handshake-lab')} --hash=sha256:{wheel}\n"
    WHEEL.write_text(requirement, encoding="utf-8")


if __name__ == "__main__":
    main()
