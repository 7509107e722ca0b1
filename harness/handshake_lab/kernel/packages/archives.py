"""The package archives that this machine trusts, and their later suites, which may have newer kernels.

Pure functions from text to values; apt is called in :mod:`handshake_lab.kernel.packages.mirror`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Suites in the order of their releases. A name that a mirror does not have costs one failed request, so a name may be
# here before its release and after its removal.
_DEBIAN = ("bullseye", "bookworm", "trixie", "forky", "duke")
_UBUNTU = ("jammy", "noble", "resolute", "stonking")

_KEYRINGS = {
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
}

# The URI of a distribution's own archive; other vendors call a suite "bookworm", too.
_OWN_ARCHIVE = re.compile(r"/(?:debian|ubuntu)(?:-security|-ports|-archive)?/?$")

_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$")


@dataclass(frozen=True, slots=True)
class Archive:
    """One suite of a package archive.

    Attributes:
        uri: Its address.
        suite: "trixie-backports".
        signed_by: A keyring's path, or a key itself; "" if apt decides.
        trusted: Used without a signature, as configured (``[trusted=yes]``).
        added: Not configured on the machine: used for kernels only.
    """

    uri: str
    suite: str
    signed_by: str = ""
    trusted: bool = False
    added: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """The distribution of a machine.

    Attributes:
        family: "debian", "ubuntu", or "" for anything else.
        codename: That family's release: "bookworm".
    """

    family: str
    codename: str


def distribution(os_release: str) -> Distribution:
    """Parse /etc/os-release; a derivative counts as the distribution it is derived from.

    Source: os-release(5).
    """
    fields: dict[str, str] = dict(re.findall(r"^(\w+)=[\"']?(.*?)[\"']?$", os_release, re.MULTILINE))
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    codename = fields.get("VERSION_CODENAME", "")
    if "ubuntu" in names:
        return Distribution("ubuntu", fields.get("UBUNTU_CODENAME", codename))
    if "debian" in names:
        return Distribution("debian", fields.get("DEBIAN_CODENAME", codename))
    return Distribution("", codename)


def parse_list(text: str) -> list[Archive]:
    """The ``main`` archives of a one-line format file (``*.list``).

    Source: sources.list(5), "ONE-LINE-STYLE FORMAT".
    """
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None or "main" not in match["components"].split():
            continue
        options = dict(part.split("=", 1) for part in (match["options"] or "").split() if "=" in part)
        found.append(
            Archive(match["uri"], match["suite"], options.get("signed-by", ""), options.get("trusted", "") == "yes")
        )
    return found


def parse_deb822(text: str) -> list[Archive]:
    """The ``main`` archives of a deb822 format file (``*.sources``).

    Source: sources.list(5), "DEB822-STYLE FORMAT".
    """
    found = []
    for stanza in re.split(r"\n[ \t]*\n", "\n".join(line for line in text.splitlines() if not line.startswith("#"))):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] in {" ", "\t"}:
                fields[name] += "\n" + line
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        if "main" not in fields.get("components", "").split():
            continue
        found += [
            Archive(uri, suite, fields.get("signed-by", "").strip(), fields.get("trusted", "").lower() == "yes")
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return found


def wanted(own: Iterable[Archive], machine: Distribution, keyrings: Mapping[str, str] | None = None) -> list[Archive]:
    """The archives to search for kernels: the machine's own, and later suites of the same mirror.

    Args:
        own: What the machine's package manager uses.
        machine: Which distribution that is.
        keyrings: The keyring of each family that is installed.

    Returns:
        Its own suites first; nothing for a distribution that has no ``linux-source`` packages.
    """
    if not machine.family:
        return []
    keyring = (keyrings if keyrings is not None else _KEYRINGS).get(machine.family, "")
    usual = {machine.codename, "stable", "oldstable", "testing", "unstable", "sid", "devel"}
    mine = [
        archive for archive in own if archive.suite.partition("-")[0] in usual and archive.suite != "devel-proposed"
    ]
    mine = [archive for archive in mine if _OWN_ARCHIVE.search(archive.uri)] or mine
    signed = [replace(archive, signed_by=archive.signed_by or keyring) for archive in mine]
    # The main archive, not the one of security updates: that has no later suites.
    bases = [archive for archive in signed if "-" not in archive.suite]
    later = [replace(base, suite=suite, added=True) for base in bases for suite in later_suites(machine)]
    unique: dict[tuple[str, str], Archive] = {}
    for archive in (*signed, *later):
        unique.setdefault((archive.uri.rstrip("/"), archive.suite), archive)
    return list(unique.values())


def of_architecture(archives: Iterable[Archive], architecture: str) -> list[Archive]:
    """The archives that have packages of an architecture other than that of the machine.

    Ubuntu has those of arm64 at another address (https://wiki.ubuntu.com/ARM); Debian has all at one.
    """
    ports = "http://ports.ubuntu.com/ubuntu-ports"
    return [
        replace(archive, uri=re.sub(r"https?://\S*ubuntu\.com/ubuntu/?$", ports, archive.uri))
        if architecture == "arm64"
        else archive
        for archive in archives
    ]


def later_suites(machine: Distribution) -> list[str]:
    """Suites beside and after a release that carry kernels to build from.

    A kernel's source is only a tarball in a package without dependencies: it
    can be unpacked on any release.
    """
    order = _UBUNTU if machine.family == "ubuntu" else _DEBIAN
    # A release that is not in this list has only its backports and the suites that always exist.
    after = order[order.index(machine.codename) + 1 :] if machine.codename in order else ()
    if machine.family == "ubuntu":
        return [*(name for release in after for name in (release, f"{release}-updates")), "devel"]
    return [
        f"{machine.codename}-backports",
        *(name for release in after for name in (release, f"{release}-backports")),
        "sid",
    ]


def to_deb822(archives: Iterable[Archive]) -> str:
    """The same as a ``.sources`` file for apt."""
    stanzas = []
    for archive in archives:
        lines = ["Types: deb", f"URIs: {archive.uri}", f"Suites: {archive.suite}", "Components: main"]
        if archive.signed_by:
            lines.append(f"Signed-By: {archive.signed_by}")
        if archive.trusted:
            lines.append("Trusted: yes")
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)
