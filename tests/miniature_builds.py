"""Building lab kernels in miniature: the whole way, with small programs in the place of make and gcc."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from handshake_lab.kernel.lab import provide_lab
from handshake_lab.kernel.packages.kernel_source import Source, SourceKind

if TYPE_CHECKING:
    from pathlib import Path

    from handshake_lab.kernel.lab.lab_images import LabKernelImage

# "make": lists the variables it gets, configures, "compiles" five files, and behaves as $STUB/mode requests.
MAKE = r"""#!/bin/sh
stub=$(dirname "$0")
echo "$*" >>"$stub/calls"
env | sed -n 's/^\([A-Za-z_]*\)=.*/\1/p' | sort >"$stub/environment"
case "$*" in
allnoconfig)
    cat "$KCONFIG_ALLCONFIG" >.config
    echo CONFIG_HZ=250 >>.config
    grep -q UML_MACHINE_FORK arch/um/Kconfig || sed -i /UML_MACHINE_FORK/d .config
    exit ;;
mrproper) rm -f .config; exit ;;
esac
mode=$(cat "$stub/mode" 2>/dev/null)
for file in one two three four five; do echo "  CC      net/$file.o"; done
case $mode in
fail) echo "net/tcp.c:1:1: error: no such thing" >&2; exit 2 ;;
full) echo "fatal error: error writing to net/tcp.o: No space left on device" >&2; exit 2 ;;
wait)
    sleep 1000 &
    echo $! >"$stub/pid"
    trap 'kill $!; exit 2' TERM # as make does with its compilers
    echo go >"$stub/fifo"
    wait
    ;;
esac
echo "  LD      vmlinux"
mkdir -p include/config
release=$(sed -n 's/^VERSION = //p;s/^PATCHLEVEL = /./p;s/^SUBLEVEL = /./p' Makefile | tr -d '\n')
echo "$release" >include/config/kernel.release
printf '#!/bin/sh\necho %s\n' "$release" >linux
chmod +x linux
"""
# "gcc" and "strip": write a file to the path after -o.
GCC = (
    '#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && [ "$2" != /dev/null ] && echo made >"$2"; shift; done\nexit 0\n'
)
STRIP = '#!/bin/sh\ncp "$3" "$2"\n'


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of small programs, first on PATH; and an empty cache."""
    directory = tmp_path / "stub"
    directory.mkdir()
    for name, text in {"make": MAKE, "gcc": GCC, "strip": STRIP}.items():
        (directory / name).write_text(text)
    for name in ("ld", "flex", "bison", "bc"):
        (directory / name).write_text("#!/bin/sh\n")
    for program in directory.iterdir():
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("handshake_lab.kernel.lab.build.compile.SPACE_NEEDED", 1)
    monkeypatch.setattr("handshake_lab.kernel.packages.mirror.SPACE_NEEDED", 1)
    return directory


class RecordedProgress:
    """Stores the messages of a build."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.notes: list[str] = []
        self.last = 0

    def stage(self, name: str, total: int | None = None, unit: str = "", *, about: bool = False) -> None:
        """Remember the stage."""
        del total, unit, about
        self.stages.append(name.partition(" ")[0])

    def at(self, done: int) -> None:
        """Remember how far it was."""
        self.last = done

    def note(self, text: str) -> None:
        """Remember the sentence."""
        self.notes.append(text)


def tree(tmp_path: Path, version: str = "9.8", point: str = "7") -> Source:
    """A kernel source in miniature."""
    place = tmp_path / f"linux-{version}.{point}"
    if not place.exists():
        (place / "arch/um").mkdir(parents=True)
        (place / "arch/um/Kconfig").write_text("config HZ\n\tint\n\tdefault 100\n")
        major, _, minor = version.partition(".")
        (place / "Makefile").write_text(
            f"VERSION = {major}\nPATCHLEVEL = {minor}\nSUBLEVEL = {point}\nEXTRAVERSION =\n"
        )
    return Source(SourceKind.TREE, place, str(place))


def leftovers(tmp_path: Path) -> list[str]:
    """What lies in the cache beside finished things."""
    root = tmp_path / "cache/handshake-lab"
    return sorted(path.name for path in root.iterdir() if path.name not in {"kernels", "helpers", "lock"})


def build(tmp_path: Path, version: str = "9.8", point: str = "7") -> LabKernelImage:
    """Build a miniature kernel."""
    return provide_lab.build(source=tree(tmp_path, version, point))
