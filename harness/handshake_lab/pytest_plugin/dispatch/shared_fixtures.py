"""Fixtures that run once for all tests of a file: before the kernel is parked from which each test is forked."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

_MARK = "__handshake_shared__"
#: A fixture with a narrower scope is torn down after each test.
_SCOPES = ("session", "package", "module")

_Function = TypeVar("_Function", bound="Callable[..., Any]")


def shared(function: _Function) -> _Function:
    """Run a fixture once for all tests of a file that use it in a lab kernel, and fork each test from there.

    Below ``@pytest.fixture``, whose scope is session, package or module::

        @pytest.fixture(scope="session")
        @handshake_lab.shared
        def server_program(tmp_path_factory):
            program = tmp_path_factory.mktemp("bin") / "server"
            subprocess.run(["gcc", "-o", program, "server.c"], check=True)
            return program
    """
    setattr(function, _MARK, True)
    return function


def set_up(session: pytest.Session) -> None:
    """Run the shared fixtures of the collected tests. A fixture that fails is an error of each test that uses it."""
    names = list(dict.fromkeys(name for item in session.items for name in _shared_by(item)))
    if not names:
        return
    # A separate test requests them, which does nothing else.
    first = session.items[0]
    module = first.getparent(pytest.Module)
    requester = pytest.Function.from_parent(module, name="handshake shared fixtures", callobj=lambda: None)
    requester.fixturenames[:] = names
    requester._fixtureinfo.name2fixturedefs.update(  # noqa: SLF001  pytest has no public access to it
        {name: found for item in session.items for name, found in _definitions(item).items()}
    )
    state = session._setupstate  # noqa: SLF001  nor to this
    with contextlib.suppress(Exception, pytest.fail.Exception, pytest.skip.Exception):
        state.setup(requester)
    state.teardown_exact(first)


def _definitions(item: pytest.Item) -> dict[str, Any]:
    info = getattr(item, "_fixtureinfo", None)
    return dict(info.name2fixturedefs) if info else {}


def _shared_by(item: pytest.Item) -> list[str]:
    """The names of the shared fixtures that a test uses."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return [
        name
        for name, found in _definitions(item).items()
        if getattr(found[-1].func, _MARK, False) and found[-1].scope in _SCOPES and name not in parameters
    ]
