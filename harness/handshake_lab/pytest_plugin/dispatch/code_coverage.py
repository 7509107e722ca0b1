"""Code coverage of what runs in a kernel, for pytest-cov.

The lines that a test runs where the kernel is are counted there, and their data file is laid
beside pytest-cov's own, which combines all that it finds at its end. Not counted there: what
programs run that the test starts, and contexts (``--cov-context``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

_DATA = ".coverage"


def settings(config: pytest.Config) -> dict[str, Any] | None:
    """How coverage is measured in the outer session; None where it is not."""
    plugin = config.pluginmanager.getplugin("_cov")
    controller = getattr(plugin, "cov_controller", None)
    measuring = getattr(controller, "cov", None)
    if controller is None or measuring is None:
        return None
    return {
        "source": controller.cov_source,
        "branch": controller.cov_branch,
        "config_file": controller.cov_config,
        "data_file": str(Path(measuring.config.data_file).resolve()),
    }


@contextlib.contextmanager
def measured(wanted: dict[str, Any] | None, results: Path) -> Iterator[None]:
    """Count the lines that run within the block, if that is wanted."""
    if wanted is None:
        yield
        return
    import coverage

    counter = coverage.Coverage(
        data_file=str(results / _DATA),
        source=wanted["source"],
        branch=wanted["branch"],
        config_file=wanted["config_file"],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that little was counted in one test of many is no news
        counter.start()
        try:
            yield
        finally:
            counter.stop()
            counter.save()


def bring_home(wanted: dict[str, Any] | None, results: Path) -> None:
    """Lay a kernel's data file where pytest-cov combines it with the others."""
    file = results / _DATA
    if wanted is not None and file.exists():
        shutil.copyfile(file, f"{wanted['data_file']}.handshake.{os.urandom(6).hex()}")
