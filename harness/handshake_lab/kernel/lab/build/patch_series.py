"""The patches that let a running lab kernel be forked, and applying them to a source tree.

They are a series against arch/um, written for the newest release; an older or a newer one may have no place for it.
Such a release is built without the series. docs/machine_fork.md explains what the patches do.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = Path(__file__).with_name("patches")

#: Only in a kernel's configuration if the series was applied.
OPTION = "CONFIG_UML_MACHINE_FORK"

# Without fuzz: what does not fit exactly was written for other code.
_PATCH = ("patch", "-p1", "--batch", "--forward", "--fuzz=0", "--no-backup-if-mismatch", "--reject-file=-", "--silent")


def series() -> list[Path]:
    """The patches, in the order in which they are applied."""
    return sorted(DIRECTORY.glob("*.patch"))


def apply(tree: Path) -> str | None:
    """Apply the whole series to a source tree, or nothing of it.

    Returns:
        None if it was applied, else a sentence that says which patch does not fit.
    """
    applied: list[Path] = []
    for patch in series():
        if not _run(tree, patch, "--dry-run"):
            for earlier in reversed(applied):
                _run(tree, earlier, "--reverse")
            return f"This release has no place for {patch.name}: it is built without forking, and boots for every run."
        _run(tree, patch)
        applied.append(patch)
    return None


def revert(tree: Path) -> None:
    """Take the applied series out of a source tree."""
    for patch in reversed(series()):
        _run(tree, patch, "--reverse")


def fits(options: Mapping[str, str]) -> bool:
    """Whether a kernel with this configuration can be forked."""
    return options.get(OPTION) == "y"


def _run(tree: Path, patch: Path, *options: str) -> bool:
    # Looking a kernel up, at every start, imports this module, too.
    import subprocess  # noqa: PLC0415

    from handshake_lab.kernel.shared.processes import plain_environment  # noqa: PLC0415

    # "--forward" refuses what looks reversed; with "--reverse" it would refuse everything.
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
