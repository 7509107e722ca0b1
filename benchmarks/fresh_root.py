"""From nothing to the first demo: a new Debian, two wheels, nothing compiled.

    python benchmarks/fresh_root.py --suite bookworm --suite trixie

For each suite, mmdebstrap makes a root with python3, iproute2 and nftables. An ordinary user in it installs
handshake-lab[kernel] from a directory of wheels, and runs the demo twice. The script prints the seconds of wall time
of both steps, the digest of the demo's output, and the content of the user's home directory. It needs root,
mmdebstrap, the package mirror of this machine's apt, and a lab kernel (``handshake kernel build``).
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]

PACKAGES = "python3,python3-venv,iproute2,nftables,passwd"

INSIDE = r"""
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
seconds() { cut -d ' ' -f 1 /proc/uptime; }
useradd --create-home student
as() { su student -c "cd && $1"; }
start=$(seconds)
as 'python3 -m venv venv && venv/bin/pip install --quiet --no-index --find-links /wheels "handshake-lab[kernel]"'
installed=$(seconds)
as 'venv/bin/handshake demo --plain' >/tmp/first
shown=$(seconds)
as 'venv/bin/handshake demo --plain' >/tmp/second
cmp /tmp/first /tmp/second
for program in gcc make tcpdump; do ! command -v $program >/dev/null || echo "there is $program" >&2; done
echo "$start $installed $shown $(sha256sum </tmp/first | cut -c 1-16) $(ls -A /home/student | tr '\n' ' ')"
"""


def run(*command: str | Path, **options: object) -> str:
    """Run a program; its output."""
    return subprocess.run(
        [str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True, **options
    ).stdout  # type: ignore[call-overload,no-any-return]


def mirror() -> str:
    """The package mirror of this machine's apt."""
    listed = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages")
    return next(site for site in listed.splitlines() if re.match("https?:", site))


def wheels(directory: Path) -> None:
    """Everything that pip needs in a root without a network, for this Python's version and for others."""
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, HERE)
    run(Path(sys.executable).parent / "handshake", "kernel", "wheel", "--out", directory)
    (product,) = directory.glob("handshake_lab-*.whl")
    for version in ("3.11", "3.12", "3.13"):
        choice = ("--python-version", version, "--only-binary", ":all:", "--implementation", "cp")
        run(sys.executable, "-m", "pip", "download", "-qq", "--dest", directory, *choice, product)


def measure(suite: str, root: Path, made: Path) -> str:
    """One suite's row."""
    run("mmdebstrap", "--quiet", "--variant=apt", f"--include={PACKAGES}", suite, root, mirror())
    (root / "etc/hosts").touch()  # installers of Debian write one
    run("cp", "-r", made, root / "wheels")
    with ExitStack() as stack:
        for name in ("proc", "dev"):
            run("mount", "--rbind", f"/{name}", root / name)
            stack.callback(run, "umount", "--lazy", root / name)
        # pip's configuration of this machine names directories that the root lacks.
        line = run("/usr/sbin/chroot", root, "/bin/sh", "-c", INSIDE, env={})
    start, installed, shown, digest, home = line.split(maxsplit=4)
    install, demo = float(installed) - float(start), float(shown) - float(installed)
    return f"{suite:<10} {install:9.1f} {demo:6.1f}   {digest}   {home.strip()}"


def main() -> None:
    """Measure each suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", help="Debian's name for it; may be given several times")
    suites = parser.parse_args().suite or ["bookworm"]
    with tempfile.TemporaryDirectory(prefix="fresh-root-") as scratch:
        made = Path(scratch) / "wheels"
        made.mkdir()
        wheels(made)
        print(f"{'suite':<10} {'install s':>9} {'demo s':>6}   sha256 of the demo  home directory")
        for suite in suites:
            print(measure(suite, Path(scratch) / suite, made), flush=True)


if __name__ == "__main__":
    main()
