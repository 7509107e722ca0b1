"""Loads the rules of nft, and reads their counters, in a network namespace.

By the library that the program nft consists of: to start a program takes 50 ms in a lab kernel.

Source: libnftables(3).
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import threading
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported, KernelRefused
from handshake_lab.linux import netns

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of Debian's package libnftables1, on which the package nftables depends.
_LIBRARY = "libnftables.so.1"
_NO_NFT = f"nft is not installed ({_LIBRARY} was not found)"
_NO_NFT_REMEDY = "Faults and firewalls need it: apt-get install nftables"

#: nftables/libnftables.h
_OUTPUT_JSON = 1 << 4

#: A context is used by one thread at a time, and nothing is said about two contexts.
_lock = threading.Lock()


def _load_library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        return None
    context = ctypes.c_void_p
    for name, result, arguments in (
        ("nft_ctx_new", context, [ctypes.c_uint32]),
        ("nft_ctx_free", None, [context]),
        ("nft_ctx_buffer_output", ctypes.c_int, [context]),
        ("nft_ctx_buffer_error", ctypes.c_int, [context]),
        ("nft_ctx_output_set_flags", None, [context, ctypes.c_uint]),
        ("nft_ctx_get_output_buffer", ctypes.c_char_p, [context]),
        ("nft_ctx_get_error_buffer", ctypes.c_char_p, [context]),
        ("nft_run_cmd_from_buffer", ctypes.c_int, [context, ctypes.c_char_p]),
        ("nft_run_cmd_from_filename", ctypes.c_int, [context, ctypes.c_char_p]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


#: Loaded here, and not at the first use: a lab kernel that is forked has it loaded then.
_library = _load_library()


def run(space: int, rules: str) -> None:
    """Load rules, all or none of them.

    Args:
        space: A descriptor of the namespace.
        rules: As in a file for ``nft -f``.

    Raises:
        EnvironmentUnsupported: nft is not installed, or the kernel does not support such rules.
    """
    with netns.inside(space):
        run_here(rules)


def run_here(rules: str) -> None:
    """Load rules in the calling thread's own namespace; see `run`."""
    reason = load(rules)
    if not reason:
        return
    if "not supported" in reason or "No such file" in reason or "syntax error" in reason:
        raise EnvironmentUnsupported(
            f"This kernel or its nft does not support the required rules ({reason})",
            "Faults and firewalls need Linux 5.16 or newer with nf_tables (netdev family, egress hook, numgen, fwd) "
            "and nft 1.0.1; --kernel lab supports all of it.",
        )
    raise KernelRefused(f"nft refused the rules of the network: {reason}\n{rules}")


def load(rules: str) -> str:
    """Load rules in the calling thread's own namespace, all or none of them.

    Returns:
        Why nft rejected them, in one line; empty if it did not.

    Raises:
        EnvironmentUnsupported: nft is not installed.
    """
    # From a file, because nft names the lines of files only.
    with _context() as (library, context), os.fdopen(os.memfd_create("rules"), "wb") as file:
        file.write(rules.encode())
        file.flush()
        path = f"/proc/self/fd/{file.fileno()}"
        if library.nft_run_cmd_from_filename(context, path.encode()) == 0:
            return ""
        return re.sub(rf"^{path}:(\d+):[\d-]+: ", r"line \1: ", _error(library, context))


def line_of(rules: str, reason: str) -> str:
    """The line of rules that nft's message is about; all of them if it names none."""
    place = re.match(r"line (\d+):", reason)
    lines = rules.splitlines()
    return lines[int(place[1]) - 1].strip() if place and 0 < int(place[1]) <= len(lines) else rules


def counters(space: int, table: str, suffix: str) -> dict[str, int]:
    """The packet counters of the rules in a table's chains, by the chain's name without its suffix.

    Args:
        space: A descriptor of the namespace.
        table: The table.
        suffix: Only chains whose names end with it.

    Raises:
        KernelRefused: nft failed.
    """
    with netns.inside(space), _context() as (library, context):
        library.nft_ctx_output_set_flags(context, _OUTPUT_JSON)
        if library.nft_run_cmd_from_buffer(context, f"list table netdev {table}".encode()) != 0:
            raise KernelRefused(f"nft cannot list the counters of the faults: {_error(library, context)}")
        listed = json.loads(library.nft_ctx_get_output_buffer(context))
    found = {}
    for item in listed["nftables"]:
        rule = item.get("rule")
        for expression in rule["expr"] if rule and rule["chain"].endswith(suffix) else ():
            if "counter" in expression:
                found[rule["chain"].removesuffix(suffix)] = int(expression["counter"]["packets"])
    return found


@contextlib.contextmanager
def _context() -> Iterator[tuple[ctypes.CDLL, int]]:
    """The library, with a separate context in the calling thread's namespace.

    Raises:
        EnvironmentUnsupported: nft is not installed.
    """
    if _library is None:
        raise EnvironmentUnsupported(_NO_NFT, _NO_NFT_REMEDY)
    with _lock:
        context = _library.nft_ctx_new(0)
        try:
            _library.nft_ctx_buffer_output(context)
            _library.nft_ctx_buffer_error(context)
            yield _library, context
        finally:
            _library.nft_ctx_free(context)


def _error(library: ctypes.CDLL, context: int) -> str:
    """The first line of what nft has to say."""
    lines = library.nft_ctx_get_error_buffer(context).decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "nft names no reason"
