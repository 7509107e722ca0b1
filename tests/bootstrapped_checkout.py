"""A checkout in which ``./handshake`` runs, with small programs in the place of python, apt-get, sudo and id."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "handshake"

HARMLESS = (
    *("sh", "env", "readlink", "dirname", "basename", "cat", "cmp", "head", "ls", "mkdir", "rm", "mv", "cp", "ln"),
    *("flock", "cksum", "tr", "chmod", "touch", "sleep"),
)

# Everything that a run or a build needs, so that a test can take single ones away.
NEEDED = ("ss", "nft", "gcc", "make", "flex", "bison", "bc", "xz", "patch")

# An interpreter: claims to be new enough, creates environments, and "installs".
PYTHON = r"""#!/bin/sh
log=$STUBS/log
case "$1 $2" in
"-c import ensurepip"*) [ ! -e "$STUBS/no-ensurepip" ]; exit ;;
"-c "*) exit 0 ;;
"-m venv")
    echo venv >>"$log"
    mkdir -p "$3/bin"
    cp "$0" "$3/bin/python"
    ;;
"-m pip")
    echo "pip $*" >>"$log"
    case "$*" in *--require-hashes*)
        [ -e "$STUBS/index-has-the-kernel" ] || exit 1
        made=$(dirname "$0")/../lib/python3.11/site-packages/handshake_lab_kernel/kernels/7.3.4-x
        mkdir -p "$made" && touch "$made/kernel.json"
        exit 0
        ;;
    esac
    [ -e "$STUBS/pip-fails" ] && exit 1
    [ -e "$STUBS/pip-waits" ] && cat "$STUBS/fifo"
    made=$(dirname "$0")/handshake
    printf '#!/bin/sh\necho "cwd=$PWD"${PYTHONDONTWRITEBYTECODE+uncompiled}\n' >"$made"
    printf 'for word; do echo "word=$word"; done\nexit 7\n' >>"$made"
    chmod +x "$made"
    ;;
esac
"""
APT_GET = """#!/bin/sh
echo "apt-get $* ($DEBIAN_FRONTEND)" >>"$STUBS/log"
[ -e "$STUBS/apt-fails" ] && exit 100
for word; do [ -e "$STUBS/lent/$word" ] && cp "$STUBS/lent/$word" "$STUBS/bin/$word"; done
exit 0
"""


class Checkout:
    """A checkout with the script in it, and the environment that the script runs in."""

    def __init__(self, place: Path) -> None:
        self.place = place / "a checkout"
        self.stubs = place / "stubs"
        self.bin = self.stubs / "bin"
        self.bin.mkdir(parents=True)
        (self.place / "harness" / "handshake_lab").mkdir(parents=True)
        (self.place / "pyproject.toml").write_text("[project]\n")
        (self.place / "README.md").write_text("# x\n")
        # This machine may have a cache for all its users.
        self.system = place / "system"
        script = SCRIPT.read_text().replace("/var/cache/handshake-lab/", f"{self.system}/")
        (self.place / "handshake").write_text(script)
        (self.place / "handshake").chmod(0o755)
        for program in HARMLESS:
            (self.bin / program).symlink_to(shutil.which(program) or "/nonexistent")
        for program in NEEDED:
            self.stub(program, "#!/bin/sh\n")
        self.stub("python3", PYTHON)
        self.stub("id", "#!/bin/sh\necho 0\n")
        self.stub("uname", "#!/bin/sh\necho x86_64\n")
        self.environment = {
            "PATH": str(self.bin),
            "HOME": str(place / "home"),
            "STUBS": str(self.stubs),
            "HANDSHAKE_PYTHON": str(self.bin / "python3"),
        }

    @property
    def log(self) -> list[str]:
        """The commands with which python and apt-get were called."""
        file = self.stubs / "log"
        return file.read_text().splitlines() if file.exists() else []

    def stub(self, name: str, text: str) -> None:
        """Put a small program on PATH."""
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def lack(self, *programs: str) -> None:
        """Hide programs, except those in /usr/sbin and /sbin, where the script searches as well."""
        for program in programs:
            (self.bin / program).unlink()

    def start(self, *words: str, script: Path | None = None, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start the script."""
        return subprocess.Popen(
            [str(script or self.place / "handshake"), *words],
            env=self.environment,
            cwd=cwd or self.place,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words: str, script: Path | None = None, cwd: Path | None = None) -> tuple[int, str, str]:
        """Run the script; returns its status, output and errors."""
        child = self.start(*words, script=script, cwd=cwd)
        out, err = child.communicate(timeout=60)
        return child.returncode, out, err
