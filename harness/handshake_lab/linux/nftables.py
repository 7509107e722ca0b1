"""Runs nft in a network namespace."""

from __future__ import annotations

import json
import re
import subprocess

from handshake_lab.errors import EnvironmentUnsupported, KernelRefused
from handshake_lab.linux import netns

_NO_NFT = "The program nft is not installed"
_NO_NFT_REMEDY = "Faults and firewalls need it: apt-get install nftables"


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
    done = _nft(["-f", "-"], rules)
    if done.returncode == 0:
        return ""
    return done.stderr.strip().splitlines()[0] if done.stderr.strip() else f"exit status {done.returncode}"


def line_of(rules: str, reason: str) -> str:
    """The line of rules that nft's message is about; all of them if it names none."""
    place = re.match(r"/dev/stdin:(\d+):", reason)
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
    with netns.inside(space):
        done = _nft(["-j", "list", "table", "netdev", table], "")
    if done.returncode != 0:
        raise KernelRefused(f"nft cannot list the counters of the faults: {done.stderr.strip()}")
    found = {}
    for item in json.loads(done.stdout)["nftables"]:
        rule = item.get("rule")
        for expression in rule["expr"] if rule and rule["chain"].endswith(suffix) else ():
            if "counter" in expression:
                found[rule["chain"].removesuffix(suffix)] = int(expression["counter"]["packets"])
    return found


def _nft(arguments: list[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["nft", *arguments], input=text, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EnvironmentUnsupported(_NO_NFT, _NO_NFT_REMEDY) from None
