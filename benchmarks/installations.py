"""Is a record the same from every Python and every installation? Compares digests, also of tests' records.

    python benchmarks/installations.py                                  two runs, and some scenarios
    python benchmarks/installations.py tests/scenarios                  what is said after the options goes to pytest

Makes an environment for each version of Python that this machine has, which takes half a minute each. The exit status
is 1 if any record differs.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import installations  # noqa: E402 - the path is set above

TESTS = ("tests/scenarios/test_opening.py", "tests/scenarios/test_time_wait.py")


def main() -> int:
    """Compare all installations with this one; print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pytest", nargs="*", default=TESTS, help=f"for pytest (default: {' '.join(TESTS)})")
    tests = tuple(parser.parse_args().pytest)
    differed = False
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        found = [installations.checkout(), installations.other_surroundings(), installations.read_only_copy(place)]
        for version in installations.VERSIONS:
            if python := installations.find_python(version):
                found.append(installations.installed(python, version, place, "pytest>=9", "hypothesis>=6.100"))
            else:
                print(f"Python {version}: not on this machine")
        expected: dict[str, str] = {}
        for installation in found:
            own = place / installation.name
            own.mkdir()
            digests = installations.digests(installation, own, tests)
            expected = expected or digests
            other = sorted(name for name in {*expected, *digests} if expected.get(name) != digests.get(name))
            differed |= bool(other)
            shown = "".join(f"\n  {name}" for name in other)
            print(f"{installation.name}: {len(digests)} records, {len(other)} differ from the first{shown}", flush=True)
    return int(differed)


if __name__ == "__main__":
    sys.exit(main())
