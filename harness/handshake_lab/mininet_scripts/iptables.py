"""``iptables`` on kernels without xtables, such as the lab kernel: translates rules to nftables.

The installed program is run first. If it cannot add a rule because the kernel has no extension for it,
``iptables-translate``, which is installed with it, translates the rule, and nft adds it. This module is run as a
program instead of iptables, and uses only the standard library.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

#: The programs that this one replaces: its directory precedes theirs in PATH.
NAMES = ("iptables", "ip6tables")
_COUNTER = re.compile(r"\bcounter( packets \d+ bytes \d+)?\s*")
_MISSING = "missing kernel module"


class Rule(NamedTuple):
    """The change that a command line requests: ``action`` is "add", "insert" or "delete"."""

    action: str
    table: str
    chain: str
    arguments: tuple[str, ...]  #: with which the rule would be added


def parse(arguments: list[str]) -> Rule | None:
    """The rule that a command line adds or deletes; None if it does neither."""
    actions = {
        "-A": "add",
        "--append": "add",
        "-I": "insert",
        "--insert": "insert",
        "-D": "delete",
        "--delete": "delete",
    }
    table, action, chain = "filter", "", ""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if word in ("-t", "--table"):
            table = following
        elif word in actions:
            action, chain = actions[word], following
    if not action or (action == "delete" and chain and arguments[-1].isdigit()):
        return None
    adding = tuple("-A" if actions.get(word) == "delete" else word for word in arguments)
    return Rule(action, table, chain, adding)


def plain(rule: str) -> str:
    """A rule of nft without its counter, in one spelling of spaces and quotes."""
    return " ".join(_COUNTER.sub("", rule).replace('"', "").split())


def main() -> int:
    """Do what the command line says; returns the exit status."""
    name, arguments = sys.argv[1], sys.argv[2:]
    real = next(path for each in ("/usr/sbin", "/sbin", "/usr/bin") if (path := Path(each, name)).exists())
    done = subprocess.run([str(real), *arguments], capture_output=True, text=True, check=False)
    if "use 'nft' tool" in done.stderr:  # it cannot list what was translated
        family = "ip6" if name.startswith("ip6") else "ip"
        table = next((word for at, word in enumerate(arguments) if arguments[at - 1] in ("-t", "--table")), "filter")
        return subprocess.run(["nft", "list", "table", family, table], check=False).returncode
    rule = parse(arguments)
    if done.returncode == 0 or rule is None or not ("extension" in done.stderr.lower() or _MISSING in done.stderr):
        sys.stdout.write(done.stdout)
        kept = [line for line in done.stderr.splitlines() if _MISSING not in line]
        sys.stderr.write("".join(f"{line}\n" for line in kept))
        return done.returncode
    translated = subprocess.run([f"{real}-translate", *rule.arguments], capture_output=True, text=True, check=False)
    words = shlex.split(translated.stdout)
    if translated.returncode or len(words) < 2:
        sys.stderr.write(done.stderr + translated.stdout + translated.stderr)
        return done.returncode or 1
    command = words[1] if len(words) == 2 else " ".join(words[1:])
    family = command.split()[2]
    # This creates the table and its built-in chain if they do not exist.
    if subprocess.run(
        ["nft", "list", "chain", family, rule.table, rule.chain], capture_output=True, check=False
    ).returncode:
        subprocess.run([str(real), "-t", rule.table, "-P", rule.chain, "ACCEPT"], capture_output=True, check=False)
    if rule.action == "delete":
        return _delete(family, rule, command)
    return subprocess.run(["nft", command], check=False).returncode


def _delete(family: str, rule: Rule, command: str) -> int:
    wanted = plain(command.split(maxsplit=5)[5])
    place = [family, rule.table, rule.chain]
    listed = subprocess.run(["nft", "-a", "list", "chain", *place], capture_output=True, text=True, check=False).stdout
    for line in listed.splitlines():
        text, _, handle = line.partition(" # handle ")
        if handle and plain(text) == wanted:
            return subprocess.run(["nft", "delete", "rule", *place, "handle", handle], check=False).returncode
    sys.stderr.write("iptables: Bad rule (does a matching rule exist in that chain?).\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
