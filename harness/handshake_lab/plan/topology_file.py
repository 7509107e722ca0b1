"""Load the topologies of a Python file written for Mininet, such as those of courses.

The file is executed, as by ``mn --custom``. It can import modules beside it, gets no arguments, and its output goes to
standard error. It is not permitted to start a network.
"""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import re
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from handshake_lab.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

EXAMPLE = "pair, or star,n=5, or path/to/course.py:mytopo"
_TEXT = re.compile(r"(?P<path>.*?\.py)(?=$|[:,])(?::(?P<name>[^,]*))?(?:,(?P<params>.*))?", re.DOTALL)
#: Names that Python 3 no longer has.
_PYTHON_2 = frozenset({"raw_input", "xrange", "unicode", "basestring", "unichr", "execfile", "reduce", "long", "file"})
_PYTHON_2_MODULES = frozenset({"urllib2", "ConfigParser", "Queue", "commands", "StringIO", "cPickle", "__builtin__"})
#: Python's messages about statements of Python 2.
_PYTHON_2_SYNTAX = (
    "Missing parentheses in call to",
    "must be parenthesized",
    "leading zeros",
    "backtick",
    "invalid hex",
)


class FileTopology(NamedTuple):
    """The parts of ``path/to/file.py:name,param=value``."""

    path: str
    name: str
    params: str


def split_file(text: str) -> FileTopology | None:
    """The parts of ``path/to/file.py:name,param=value``; None if the text names no file."""
    match = _TEXT.fullmatch(text)
    return FileTopology(match["path"], match["name"] or "", match["params"] or "") if match else None


class _StartsNetwork(BaseException):
    """The file creates a Mininet while it is loaded. Not an `Exception`, so that the file does not catch it."""


@contextlib.contextmanager
def as_script(path: Path, text: str) -> Iterator[None]:
    """Execute code of a file in this block, like Python, and explain its errors.

    Raises:
        UsageError: The code failed; the message names its line.
    """

    def refuse(reason: str, error: BaseException | None) -> UsageError:
        return UsageError("topology", text, f"{reason}{_place(error, path) if error else ''}", EXAMPLE)

    arguments, folder = sys.argv, str(path.resolve().parent)
    sys.argv = [str(path)]
    sys.path.insert(0, folder)
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            # Warnings about old code in Mininet and in the file are ignored, even if warnings are configured as errors.
            for category in (DeprecationWarning, SyntaxWarning):
                warnings.simplefilter("ignore", category)
            with _without_networks(path):
                yield
    except UsageError:
        raise
    except _StartsNetwork as error:
        reason = (
            "starts a network when it is loaded: it calls Mininet(…) outside of 'if __name__ == \"__main__\":'. "
            "Move the calls that start and stop the network below that line; only the Topo class is needed"
        )
        raise refuse(reason, error) from None
    except SystemExit as error:
        raise refuse(
            f"exits when it is loaded (exit status {error.code}): a topology is loaded without arguments", error
        ) from None
    except SyntaxError as error:
        raise refuse(_syntax(error), None) from error
    except ImportError as error:
        raise refuse(_missing(error), error) from error
    except Exception as error:
        hint = ""
        if isinstance(error, NameError) and error.name in _PYTHON_2:
            hint = f": {error.name} is of Python 2, and the file has to be Python 3"
        raise refuse(f"fails with {type(error).__name__}: {error}{hint}", error) from error
    finally:
        sys.argv = arguments
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def factory(path: Path, name: str, text: str) -> Callable[..., Any]:
    """The class or function in a file that creates a topology.

    Args:
        path: The file.
        name: A name in its dictionary ``topos``, or a class derived from Topo. Empty: the only one in the file.
        text: The topology as the user wrote it, for messages.

    Raises:
        UsageError: There is no such file, it cannot be loaded, or it has no such topology.
    """
    if not path.is_file():
        raise UsageError("topology", text, "is a file that does not exist", EXAMPLE)
    module_name = f"handshake_topology_{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise UsageError("topology", text, "is not a Python file", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    with as_script(path, text):
        spec.loader.exec_module(module)
    return _chosen(vars(module), module_name, name, text)


def _chosen(names: dict[str, Any], module_name: str, name: str, text: str) -> Callable[..., Any]:
    from mininet.topo import Topo  # noqa: PLC0415 -- only files need it

    topos = names.get("topos", {})
    if not isinstance(topos, dict) or not all(callable(value) for value in topos.values()):
        raise UsageError(
            "topology", text, "has a 'topos' that is not a dictionary of classes or functions", "topos = {'my': MyTopo}"
        )
    classes = {
        key: value
        for key, value in names.items()
        if isinstance(value, type) and issubclass(value, Topo) and value.__module__ == module_name
    }
    known: dict[str, Callable[..., Any]] = {**(topos or classes)}
    if name:
        found: Callable[..., Any] | None = topos.get(name, classes.get(name))
        if found is not None:
            return found
    elif len(known) == 1:
        return next(iter(known.values()))
    if not known:
        raise UsageError("topology", text, _nothing(names), "a class derived from mininet.topo.Topo")
    raise UsageError(
        "topology",
        text,
        f"does not name one of the topologies in the file ({', '.join(known)})",
        f"{text.partition(':')[0]}:{next(iter(known))}",
    )


def _nothing(names: dict[str, Any]) -> str:
    reason = "contains no topology: neither a class derived from mininet.topo.Topo nor a dictionary 'topos'"
    if "Mininet" in names:
        return f"{reason}. It builds its network by calls of Mininet's methods (addHost, addLink), not as a class"
    return reason


@contextlib.contextmanager
def _without_networks(path: Path) -> Iterator[None]:
    """Make Mininet() fail in this block, so that no file changes the network of this machine."""
    if b"ininet" not in path.read_bytes().replace(b"mininet.topo", b""):
        yield
        return
    from mininet import net  # noqa: PLC0415 -- slow to import, and needed only by files that use it

    def refuse(*_: object, **__: object) -> None:
        raise _StartsNetwork

    start = net.Mininet.__init__
    net.Mininet.__init__ = refuse
    try:
        yield
    finally:
        net.Mininet.__init__ = start


def _place(error: BaseException, path: Path) -> str:
    """The line of the file where an error happened, with its text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f" (line {frames[-1].lineno}: {frames[-1].line})" if frames else ""


def _syntax(error: SyntaxError) -> str:
    text = (error.text or "").strip()
    where = f"line {error.lineno}: {text}" if error.lineno else str(error.filename)
    old = any(part in error.msg for part in _PYTHON_2_SYNTAX) or isinstance(error, TabError)
    if old or re.match(r"(print|exec)\s+[^(=]|raise\s+\w+\s*,|except\s.*,\s*\w+\s*:", text):
        return f"is written for Python 2 ({where}: {error.msg}); it has to be Python 3, for example print(…)"
    return f"is not valid Python ({where}: {error.msg})"


def _missing(error: ImportError) -> str:
    module = (error.name or "").partition(".")[0]
    if module in _PYTHON_2_MODULES:
        return f"is written for Python 2: it imports {module}, which Python 3 does not have"
    return (
        f"cannot be loaded ({type(error).__name__}: {error}); what it imports has to be installed for the Python that "
        f"runs Handshake Lab, {sys.executable}"
    )


def parameters(made_by: Callable[..., Any]) -> str:
    """The parameters of a topology, for messages: ``n=2, delay``; empty if they are not known."""
    target = getattr(made_by, "build", made_by) if isinstance(made_by, type) else made_by
    try:
        found = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):
        return ""
    return ", ".join(str(each) for each in found if each.name != "self")
