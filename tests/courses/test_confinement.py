"""A student's program, mended or hostile, runs in confinement: it serves, and finds nothing that it could harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.courses.judging import judge_answer
from handshake_lab.courses.keys import key_of
from handshake_lab.courses.unit import SHIPPED, load_unit

if TYPE_CHECKING:
    from handshake_lab.courses.experiments import Laboratory

#: What a program must not be able to do, or must be able to do; it exits, and thereby fails, if one is otherwise.
PROBES = """
import os, pathlib, socket, subprocess, sys

def can(act):
    try:
        return bool(act())
    except (OSError, ValueError, MemoryError):
        return False

def shows(path):
    # Python itself may be installed below a home: the way to it is there, and nothing beside it.
    return path.exists() and {each.name for each in path.iterdir()} - set(pathlib.Path(sys.base_prefix).parts)

FILES = ("/etc/passwd", "/etc/shadow", "/proc/1/environ", "/run/handshake/scratch/job.json")
CHECKS = {
    "reads files of the host": lambda: any(can(lambda path=path: open(path).read(1)) for path in FILES),
    "lists homes": lambda: any(can(lambda path=path: shows(pathlib.Path(path))) for path in ("/root", "/home", "/var")),
    "finds the old root": lambda: os.path.exists("/old"),
    "is root": lambda: os.getuid() == 0 or os.getgid() == 0 or os.getgroups() != [],
    "becomes root": lambda: can(lambda: os.setuid(0) is None),
    "writes into the system": lambda: can(lambda: open("/usr/written", "w")) or can(lambda: open("/bin/written", "w")),
    "writes into its own root": lambda: can(lambda: open("written", "w")) or can(lambda: os.mkdir("/x")),
    "opens a raw socket": lambda: can(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    "mounts": lambda: subprocess.run(["mount", "-t", "tmpfs", "none", "/usr"], capture_output=True).returncode == 0,
    "changes settings of the kernel": lambda: os.path.exists("/proc/sys"),
    "has all the memory": lambda: can(lambda: bytearray(1 << 30)),
    "cannot serve a low port": lambda: not can(lambda: socket.create_server(("", 80))),
    "kills others": lambda: can(lambda: os.kill(1, 9) is None),
}
found = [what for what, check in CHECKS.items() if can(check)]
if found:
    sys.exit(f"escaped: {found}")
"""


def test_a_program_in_confinement(laboratory: Laboratory) -> None:
    """The mended server, after it has tried to leave, serves; if a probe succeeds, it exits, and is judged wrong.

    That a probe can succeed is shown by one that does.
    """
    unit = load_unit(SHIPPED / "07-close-wait-leak")
    question = unit.question("mend")
    mended = (unit.folder / "mended-server.py").read_text("utf-8")
    key = key_of(unit, question, 1, laboratory)
    succeeds = PROBES.replace("CHECKS = {", 'CHECKS = {\n    "runs Python": lambda: True,')
    serves = judge_answer(unit, question, f"{PROBES}\n{mended}", key, 1, laboratory)
    exits = judge_answer(unit, question, f"{succeeds}\n{mended}", key, 1, laboratory)

    assert (serves.right, serves.code) == (True, "right")
    assert (exits.right, exits.code) == (False, "program_stderr")
    assert exits.values["line"] == "escaped: ['runs Python']"
