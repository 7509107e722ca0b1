"""The patches with which a running lab kernel can be forked, and applying them to a source tree.

They are a series against arch/um, written for the newest release; it may not apply to an older or a newer one.
Such a release is built without the series. docs/explanation/fork.md explains what the patches do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = Path(__file__).with_name("patches")

#: The option that the series adds.
OPTION = "CONFIG_UML_MACHINE_FORK"

# Without fuzz: a patch that does not match exactly was written for other code.
_PATCH = ("patch", "-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-", "--silent")


def series() -> list[Path]:
    """The patches, in the order in which they are applied."""
    return sorted(DIRECTORY.glob("*.patch"))


def apply(tree: Path) -> str | None:
    """Apply the whole series to a source tree, or nothing of it.

    Returns:
        None if it was applied, else a sentence that names the patch that does not apply.
    """
    applied: list[Path] = []
    for patch in series():
        if not _run(tree, patch, "--dry-run"):
            for earlier in reversed(applied):
                _run(tree, earlier, "--reverse")
            return f"{patch.name} does not apply to this release: it is built without forking, and boots for every run."
        _run(tree, patch)
        applied.append(patch)
    return None


def revert(tree: Path) -> None:
    """Revert the applied series in a source tree."""
    for patch in reversed(series()):
        _run(tree, patch, "--reverse")


def fits(options: Mapping[str, str]) -> bool:
    """Whether a kernel with this configuration can be forked."""
    return options.get(OPTION) == "y"


def _run(tree: Path, patch: Path, *options: str) -> bool:
    # Every start looks up a kernel, which imports this module.
    import subprocess  # noqa: PLC0415

    from handshake_lab.kernel.shared.processes import plain_environment  # noqa: PLC0415

    # "--forward" rejects a patch that is already applied; with "--reverse" it would reject every patch.
    words = [word for word in _PATCH if word != "--forward" or "--reverse" not in options]
    done = subprocess.run(
        [*words, *options, "-i", str(patch)],
        cwd=tree,
        env=plain_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return done.returncode == 0
