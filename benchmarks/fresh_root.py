"""From nothing to the first demo: every way of installation that the documentation names, each in a new Debian.

    python benchmarks/fresh_root.py                                         Debian 12: wheels
    python benchmarks/fresh_root.py --suite trixie --suite testing --way wheels --way users
    python benchmarks/fresh_root.py --list

For each suite, mmdebstrap makes a root with python3; each way runs in its own copy of it, in its own mount and process
namespaces, and prints what it measured. The ways are shell scripts in benchmarks/fresh_root_ways. Roots have no network
but apt's: pip, pipx and uv find their packages in a directory. The exit status is 1 if a way fails, or if a seed does
not have the same record, to the byte, in all ways and suites.

It needs root, mmdebstrap, the package mirror of this machine's apt, and a lab kernel (``handshake kernel build``).
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).with_name("fresh_root_ways")
WAYS = sorted(script.stem for script in SCRIPTS.glob("*.sh") if script.stem != "common")

# What "python3" alone lacks of a machine that people have: certificates, and users.
PACKAGES = "python3,ca-certificates,passwd"

# Mounts end with the namespace, so that removing the root cannot reach what was mounted.
ENTER = """
root=$1
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
exec /usr/sbin/chroot "$root" /bin/sh -c '. /ways/common.sh; . "/ways/$1.sh"' way "$2"
"""


def run(*command: str | Path) -> str:
    """Run a program; its output."""
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def mirror() -> str:
    """The package mirror of this machine's apt."""
    listed = run("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages")
    return next(site for site in listed.splitlines() if re.match("https?:", site))


def wheels(directory: Path) -> None:
    """Everything that pip, pipx and uv need in a root without an index, for this Python's version and for others."""
    handshake = Path(sys.executable).parent / "handshake"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", directory, HERE)
    run(handshake, "kernel", "wheel", "--out", directory)
    archive = directory / "kernel.tar.xz"
    run(handshake, "kernel", "export", archive)
    (directory / "kernel.sha256").write_text(hashlib.sha256(archive.read_bytes()).hexdigest())
    (product,) = directory.glob("handshake_lab-*.whl")
    for version in ("3.11", "3.12", "3.13", "3.14"):
        choice = ("--python-version", version, "--only-binary", ":all:", "--implementation", "cp")
        # setuptools builds the checkout; pipx wants the newest pip and wheel; uv is one of the ways.
        run(*pip, "download", "-qq", "--dest", directory, *choice, product, "setuptools>=70.1", "pip", "wheel", "uv")


def checkout(directory: Path) -> None:
    """The files of the repository, as a clone has them, with changes that are not committed yet."""
    directory.mkdir()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=HERE, check=True, stdout=subprocess.PIPE)
    words = ["tar", "--create", "--null", "--files-from=-"]
    packed = subprocess.run(words, cwd=HERE, check=True, input=files.stdout, stdout=subprocess.PIPE)
    subprocess.run(["tar", "--extract", "--directory", directory], check=True, input=packed.stdout)


def make_root(suite: str, root: Path, scratch: Path) -> None:
    """A Debian with python3, in which the ways find what they need."""
    # A mirror of this machine can be older than the week for which the lists of "testing" are valid; they are signed.
    valid = '--aptopt=Acquire::Check-Valid-Until "false"'
    options = ("--quiet", "--variant=apt", f"--include={PACKAGES}", valid)
    run("mmdebstrap", *options, suite, root, mirror())
    for name in ("hosts", "resolv.conf"):
        run("cp", f"/etc/{name}", root / "etc" / name)
    for name in ("wheels", "checkout"):
        run("cp", "-r", scratch / name, root / name)
    run("cp", "-r", SCRIPTS, root / "ways")


def take(way: str, base: Path, root: Path) -> bool:
    """Run one way in a copy of a root; whether it succeeded."""
    run("cp", "--archive", "--reflink=auto", base, root)
    namespaces = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child")
    words = [*namespaces, "/bin/sh", "-euc", ENTER, "enter", str(root), way]
    # pip's configuration of this machine names directories that the root lacks.
    done = subprocess.run(words, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, check=False)
    record = root / "record.jsonl"
    if record.exists():
        record.rename(root.with_suffix(".jsonl"))
    run("rm", "--recursive", "--force", "--one-file-system", root)
    return done.returncode == 0


def differing(records: list[Path], keep: Path | None) -> list[str]:
    """The records that differ from the first, with the first line in which they do."""
    if keep and records:
        keep.mkdir(parents=True, exist_ok=True)
        run("cp", *records, keep)
    found = []
    for record in records[1:]:
        lines = zip(records[0].read_text().splitlines(), record.read_text().splitlines(), strict=False)
        if record.read_bytes() != records[0].read_bytes():
            number = next((number for number, (one, other) in enumerate(lines, 1) if one != other), 0)
            found.append(f"{record.stem}: differs from {records[0].stem} in line {number}")
    return found


def main() -> int:
    """Take each way in each suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", action="append", help="Debian's name for it; may be given several times")
    parser.add_argument("--way", action="append", choices=WAYS, help="may be given several times (default: wheels)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="copy the record of each way to this directory")
    parser.add_argument("--list", action="store_true", help="list the ways, and do nothing")
    given = parser.parse_args()
    if given.list:
        for way in WAYS:
            print(f"{way:<9} {(SCRIPTS / way).with_suffix('.sh').read_text().splitlines()[0].lstrip('# ')}")
        return 0
    failed = []
    with tempfile.TemporaryDirectory(prefix="fresh-root-") as directory:
        scratch = Path(directory)
        (scratch / "wheels").mkdir()
        wheels(scratch / "wheels")
        checkout(scratch / "checkout")
        for suite in given.suite or ["bookworm"]:
            base = scratch / suite
            make_root(suite, base, scratch)
            for way in given.way or ["wheels"]:
                print(f"== {suite}: {way}", flush=True)
                if not take(way, base, scratch / f"{suite}-{way}"):
                    failed.append(f"{suite}: {way}")
        failed += differing(sorted(scratch.glob("*.jsonl")), given.keep)
    if failed:
        print("failed:", *failed, sep="\n")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
