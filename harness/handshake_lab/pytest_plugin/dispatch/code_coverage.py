"""Code coverage of tests in a kernel, for pytest-cov.

A worker measures the lines that its test executes; the controller copies the data file beside pytest-cov's own, which
combines them all at the end of the session. Not measured: programs that the test starts, and contexts
(``--cov-context``).
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
    """How pytest-cov measures coverage in the controller; None if it does not."""
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
    """Measure the lines that the block executes.

    Args:
        wanted: The controller's `settings`; None measures nothing.
        results: The directory for the data file.
    """
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
        warnings.simplefilter("ignore")  # coverage warns that a single test executes few lines
        counter.start()
        try:
            yield
        finally:
            counter.stop()
            counter.save()


def collect(wanted: dict[str, Any] | None, results: Path) -> None:
    """Copy a worker's data file to the directory whose files pytest-cov combines."""
    file = results / _DATA
    if wanted is not None and file.exists():
        shutil.copyfile(file, f"{wanted['data_file']}.handshake.{os.urandom(6).hex()}")
