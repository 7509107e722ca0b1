"""Checks that the lab's tests are repeatable: runs them many times, and compares every record with the first one.

    python benchmarks/repeats.py                                   10 times the scenarios and the claims
    python benchmarks/repeats.py --times 200 tests/scenarios       further arguments are passed to pytest
    python benchmarks/repeats.py --times 50 --kept repeats.json    continues the last run with this file
    python benchmarks/repeats.py --equal 1,2,3                     with each seed: a round that forks, one that boots

Odd rounds run in one process, even rounds in two processes and in reverse order: a test's record must not depend on
tests that run before it or at the same time. In every third round, each test boots its kernel instead of forking one.
With --equal, the records of tests in forked kernels are compared with those of tests that boot, for each seed.
The exit status is 1 if a test failed or a record differed.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EVENTS = "events.jsonl"

#: A pytest plugin that reverses the order of the tests.
BACKWARDS = """
import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.reverse()
"""


def run(
    words: list[str], kept: Path, plugins: Path, *, backwards: bool, fresh_boot: bool
) -> tuple[bool, dict[str, str]]:
    """Run the tests once; return whether all passed, and the digest of each test's record."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--handshake-artifacts={kept}", *words]
    if backwards:
        command += ["-n", "2", "-p", "backwards"]
    if fresh_boot:
        command += ["--handshake-fresh-boot"]
    environment = {**os.environ, "PYTHONPATH": str(plugins)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout[-3000:])
    digests = {
        str(file.parent.relative_to(kept)): hashlib.sha256(file.read_bytes()).hexdigest() for file in kept.rglob(EVENTS)
    }
    return done.returncode == 0, digests


def compare(seed: str, words: list[str], plugins: Path) -> bool:
    """Run the tests with one seed, in forks and in booted kernels; whether all passed, with the same records."""
    words = ["-n", "2", "--dist", "worksteal", f"--handshake-seed={seed}", *words]
    rounds, took = [], []
    for fresh_boot in (False, True):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as kept:
            rounds.append(run(words, Path(kept), plugins, backwards=False, fresh_boot=fresh_boot))
        took.append(time.monotonic() - began)
    (forks_passed, forked), (boots_passed, booted) = rounds
    other = sorted(name for name in {*forked, *booted} if forked.get(name) != booted.get(name))
    print(
        f"seed {seed}: {len(forked)} records in forks ({took[0]:.0f} s), {len(booted)} in booted kernels "
        f"({took[1]:.0f} s), {len(other)} differ",
        flush=True,
    )
    for name in other:
        print(f"differs: {name}")
    return forks_passed and boots_passed and bool(forked) and not other


def main() -> int:
    """Run all rounds; print a line for each round, and the tests that failed or differed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, metavar="N", help="how often (default: 10)")
    parser.add_argument("pytest", nargs="*", help="for pytest (default: tests/scenarios tests/documented)")
    parser.add_argument(
        "--kept", type=Path, metavar="FILE", help="keeps the first round's digests, and how many passed"
    )
    parser.add_argument("--equal", metavar="SEEDS", default="", help="compare forks with boots, for example: 1,2,3")
    wanted = parser.parse_args()
    words = wanted.pytest or ["tests/scenarios", "tests/documented"]
    if wanted.equal:
        with tempfile.TemporaryDirectory() as place:
            results = [compare(seed, words, Path(place)) for seed in wanted.equal.split(",")]
        return int(not all(results))
    failed, differed = 0, Counter[str]()
    done, first = 0, dict[str, str]()
    if wanted.kept and wanted.kept.exists():
        done, first = json.loads(wanted.kept.read_text()).values()
    with tempfile.TemporaryDirectory() as place:
        plugins = Path(place)
        (plugins / "backwards.py").write_text(BACKWARDS)
        for number in range(done + 1, done + wanted.times + 1):
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as kept:
                passed, digests = run(words, Path(kept), plugins, backwards=number % 2 == 0, fresh_boot=number % 3 == 0)
            first = first or digests
            other = sorted(name for name in {*first, *digests} if first.get(name) != digests.get(name))
            differed.update(other)
            failed += not passed
            if wanted.kept and passed and not other:
                wanted.kept.write_text(json.dumps({"rounds": number, "first": first}))
            print(
                f"round {number} of {done + wanted.times}: {'passed' if passed else 'FAILED'}, {len(digests)} records, "
                f"{len(other)} other than the first, {time.monotonic() - began:.0f} s",
                flush=True,
            )
    for name, times in differed.most_common():
        print(f"differed {times} times: {name}")
    return int(bool(failed or differed))


if __name__ == "__main__":
    sys.exit(main())
