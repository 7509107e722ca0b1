"""Which tests run in a kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_FIXTURES = "handshake_lab.pytest_plugin.fixtures"


def needs_kernel(item: pytest.Item) -> bool:
    """Whether a test requests this plugin's fixture ``net``, directly or through other fixtures.

    A fixture of that name may also be the project's own.
    """
    info = getattr(item, "_fixtureinfo", None)
    found = list(info.name2fixturedefs.get("net", ())) if info else []
    while found:
        last = found.pop()
        if last.func.__module__ == _FIXTURES:
            return True
        if "net" not in last.argnames:
            return False
    return False
