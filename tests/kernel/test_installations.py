"""The record of a seed is the same wherever this project is installed, and whichever Python runs it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import installations
import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of this installation."""
    return installations.digests(installations.checkout(), tmp_path_factory.mktemp("checkout"))


def test_language_and_umask_do_not_matter(expected: dict[str, str], tmp_path: Path) -> None:
    """Nor the time zone: what a run shows is for its reader, what it records is for all."""
    found = installations.digests(installations.other_surroundings(), tmp_path)

    assert found == expected


def test_a_read_only_copy_without_bytecode_does_not_matter(expected: dict[str, str], tmp_path: Path) -> None:
    """At a path of another length, and of another user where that is possible."""
    found = installations.digests(installations.read_only_copy(tmp_path), tmp_path)

    assert found == expected


@pytest.mark.parametrize("version", installations.VERSIONS)
def test_the_version_of_python_does_not_matter(expected: dict[str, str], version: str, tmp_path: Path) -> None:
    """Installed by pip without bytecode; every version has another number of calls, locks, threads and modules."""
    python = installations.find_python(version)
    if python is None:
        pytest.skip(f"there is no python{version} on this machine")
    try:
        installed = installations.installed(python, version, tmp_path)
    except subprocess.CalledProcessError as error:
        output = error.stderr.decode(errors="replace")
        if "No matching distribution found" not in output:  # a package that cannot be built is a defect
            raise
        pytest.skip(f"no package index offers what python{version} needs: {output[-200:]}")

    assert installations.digests(installed, tmp_path) == expected
