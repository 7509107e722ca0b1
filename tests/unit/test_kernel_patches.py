"""The patch series for forking: applied whole or not at all, part of the key, left out where it does not compile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.kernel.lab.build import configuration, patch_series

if TYPE_CHECKING:
    from pathlib import Path

FIRST = """Subject: one

--- a/arch/um/file.c
+++ b/arch/um/file.c
@@ -1,2 +1,3 @@
 int a;
+int b;
 int c;
--- /dev/null
+++ b/arch/um/new.c
@@ -0,0 +1 @@
+int new;
"""
SECOND = """Subject: two

--- a/arch/um/file.c
+++ b/arch/um/file.c
@@ -1,3 +1,3 @@
 int a;
-int b;
+int bb;
 int c;
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A source tree, and a series of two patches of which the second needs the first."""
    patches = tmp_path / "patches"
    patches.mkdir()
    (patches / "0001-one.patch").write_text(FIRST)
    (patches / "0002-two.patch").write_text(SECOND)
    monkeypatch.setattr(patch_series, "DIRECTORY", patches)
    (tmp_path / "tree/arch/um").mkdir(parents=True)
    (tmp_path / "tree/arch/um/file.c").write_text("int a;\nint c;\n")
    return tmp_path / "tree"


def files(tree: Path) -> dict[str, str]:
    """All files of a tree."""
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


def test_a_series_that_fits_is_applied(tree: Path) -> None:
    """In order, as the second changes what the first added."""
    assert patch_series.apply(tree) is None

    assert files(tree) == {"arch/um/file.c": "int a;\nint bb;\nint c;\n", "arch/um/new.c": "int new;\n"}


def test_a_series_that_was_applied_can_be_taken_out(tree: Path) -> None:
    """For a release that does not compile with it."""
    before = files(tree)
    patch_series.apply(tree)

    patch_series.revert(tree)

    assert files(tree) == before


@pytest.mark.parametrize("text", ["int a;\nint changed;\n", "int b;\nint c;\n", ""])
def test_a_series_that_does_not_fit_changes_nothing(tree: Path, text: str) -> None:
    """Whatever the release has in its place; and the sentence names the patch."""
    (tree / "arch/um/file.c").write_text(text)
    before = files(tree)

    misfit = patch_series.apply(tree)

    assert misfit is not None
    assert "0001-one.patch" in misfit
    assert files(tree) == before


def test_a_later_patch_that_does_not_fit_takes_the_earlier_ones_out(tree: Path) -> None:
    """Half of a series would be worse than none."""
    (patch_series.DIRECTORY / "0002-two.patch").write_text(SECOND.replace("-int b;", "-int other;"))
    before = files(tree)

    misfit = patch_series.apply(tree)

    assert misfit is not None
    assert "0002-two.patch" in misfit
    assert files(tree) == before


@pytest.mark.usefixtures("tree")
def test_the_key_covers_the_patches() -> None:
    """A changed byte in one of them makes another kernel."""
    before = configuration.key()

    (patch_series.DIRECTORY / "0002-two.patch").write_text(SECOND + "\n")

    assert configuration.key() != before


def test_each_patch_says_why_and_is_marked_as_derived_from_linux() -> None:
    """Files that they add begin with their licence; the README beside them states the same for all."""
    patches = patch_series.series()
    assert len(patches) >= 3
    for patch in patches:
        subject, _, body = patch.read_text().partition("\n\n")
        assert subject.startswith(("Subject: um: ", "Subject: hostfs: "))
        assert len(body.partition("\n---\n")[0]) > 200
        for added in patch.read_text().split("--- /dev/null\n")[1:]:
            assert "SPDX-License-Identifier: GPL-2.0" in added.split("\n", 3)[2]
    assert "GPL-2.0" in (patch_series.DIRECTORY / "README.md").read_text()
