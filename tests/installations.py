"""Installations of this project that differ in what a record must not depend on, and the digests of their records."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "harness" / "handshake_lab"
#: Versions of Python on which records are compared.
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
_NOBODY = 65534

DEMO = ("demo", "--loss", "20%", "--seed", "7")
PROGRAMS = (
    *("record", "--seed", "5", "--link", "delay=20ms,loss=5%", "--server", "python3 -m http.server 80"),
    *("--client", "curl -s http://h2/", "--client", "curl -s http://h2/"),
)
_CALL = "from handshake_lab.cli.main import main; main()"


@dataclass(frozen=True)
class Installation:
    """A Python, and the environment in which it finds this project."""

    name: str
    python: str
    environment: dict[str, str] = field(default_factory=dict)
    umask: int = -1

    def run(self, *words: str, directory: Path) -> str:
        """Run ``handshake`` in a directory; its output."""
        return self._run([self.python, "-P", "-c", _CALL, *words], directory)

    def test(self, *words: str, kept: Path) -> None:
        """Run tests of this checkout with pytest, and keep their records."""
        options = ["-q", "-p", "no:cacheprovider", "--handshake-artifacts", str(kept)]
        self._run([self.python, "-m", "pytest", *options, *words], ROOT)

    def _run(self, command: list[str], directory: Path) -> str:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(
            command, cwd=directory, env=environment, umask=self.umask, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout


def digests(installation: Installation, place: Path, tests: tuple[str, ...] = ()) -> dict[str, str]:
    """The SHA-256 of what an installation makes.

    Args:
        installation: The installation.
        place: A directory.
        tests: Tests of this checkout to run as well, as for pytest.
    """
    # The programs serve the directory they are in: it holds the same for every installation.
    place = place / "runs"
    place.mkdir()
    found = {"demo --json": _digest(installation.run(*DEMO, "--json", directory=place).encode())}
    for name, words in {"demo": DEMO, "programs": PROGRAMS}.items():
        installation.run(*words, "--out", name, directory=place)
        found[name] = _digest((place / name / "events.jsonl").read_bytes())
    if tests:
        installation.test(*tests, kept=place / "tests")
        for file in sorted(place.glob("tests/*/events.jsonl")):
            found[file.parent.name] = _digest(file.read_bytes())
    return found


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def checkout() -> Installation:
    """This one."""
    return Installation("checkout", sys.executable)


def other_surroundings() -> Installation:
    """This one, in another language, with another umask and time zone."""
    environment = {"LC_ALL": "ko_KR.UTF-8", "LANG": "ko_KR.UTF-8", "TZ": "Asia/Seoul", "COLUMNS": "200"}
    return Installation("surroundings", sys.executable, environment, umask=0o077)


def read_only_copy(place: Path) -> Installation:
    """The same Python on a copy that cannot be written, without bytecode, at another path, of another user if possible.

    Args:
        place: A directory.
    """
    root = place / "a-path-of-another-length" / "harness"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, root / "handshake_lab", ignore=ignored, symlinks=False)
    for file in [*root.rglob("*"), root]:
        if os.geteuid() == 0:
            os.chown(file, _NOBODY, _NOBODY)
        file.chmod(0o555 if file.is_dir() else 0o444)
    return Installation("read-only", sys.executable, {"PYTHONPATH": str(root)})


def find_python(version: str) -> str | None:
    """An interpreter of a version: on PATH, or of pyenv."""
    candidates = [shutil.which(f"python{version}")]
    candidates += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python")))
    for candidate in filter(None, candidates):
        asked = [candidate, "-c", "import sys, ensurepip; print('%d.%d' % sys.version_info[:2])"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return candidate
    return None


def installed(python: str, version: str, place: Path, *packages: str) -> Installation:
    """The project installed by pip into an environment of its own, with no bytecode.

    Args:
        python: The interpreter.
        version: Its version.
        place: A directory.
        packages: Further packages to install.

    Raises:
        subprocess.CalledProcessError: It could not be installed.
    """
    # Not from the checkout: the folder build/ that pip leaves there keeps files that are gone since.
    source = place / f"{version}-source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, source / "harness" / "handshake_lab", ignore=ignored, symlinks=False)
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    environment = place / version
    subprocess.run([python, "-m", "venv", str(environment)], check=True, capture_output=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    install = ["install", "--quiet", "--no-compile", str(source), *packages]
    subprocess.run([*pip, *install], check=True, capture_output=True)
    return Installation(f"Python {version}", str(environment / "bin" / "python"))
