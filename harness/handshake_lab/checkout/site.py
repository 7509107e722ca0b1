"""Building the site of the documentation with MkDocs, in a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from handshake_lab.checkout.root import REPOSITORY
from handshake_lab.errors import EnvironmentUnsupported, UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: What a directory has that contains the site.
_PART = "assets/site.css"


def build_site(out: Path) -> int:
    """Build the site; warnings are errors.

    Args:
        out: The directory that it replaces.

    Returns:
        0, or 1 if there were warnings.

    Raises:
        UsageError: This is not a checkout, or the directory contains something else.
        EnvironmentUnsupported: MkDocs is not installed.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / _PART).exists():
        raise UsageError("--out", str(out), "contains something else than the site", "--out new-directory")
    return _mkdocs("build", "--quiet", "--strict", "--site-dir", str(out))


def serve_site(address: str) -> int:
    """Serve the site until the user interrupts it, and build it again when a page changes.

    Args:
        address: The address and port of the server.

    Returns:
        The exit status of MkDocs: 1 if there were warnings.

    Raises:
        UsageError: This is not a checkout.
        EnvironmentUnsupported: MkDocs is not installed.
    """
    return _mkdocs("serve", "--dev-addr", address)


def _mkdocs(*words: str) -> int:
    if not (REPOSITORY / "mkdocs.yml").exists():
        raise UsageError(
            "docs", str(REPOSITORY), "is not a checkout of Handshake Lab", "cd handshake-lab && ./handshake docs"
        )
    for module in ("mkdocs", "material", "mkdocs_static_i18n", "mkdocstrings"):
        if find_spec(module) is None:
            raise EnvironmentUnsupported(f"The Python package with {module} is missing", "pip install -e '.[docs]'")
    # The theme announces its successor at each start.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run([sys.executable, "-m", "mkdocs", *words], cwd=REPOSITORY, env=environment, check=False)
    return min(done.returncode, 1)
