"""How a program is started: its environment, directory, input and user; and that its file can be found."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from handshake_lab.errors import UsageError
from handshake_lab.kernel.lab import hostfs
from handshake_lab.kernel.shared.guest_setup import is_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ProgramSetup(NamedTuple):
    """What differs from the defaults: this process's environment, directory and user, and no input.

    Attributes:
        env: Variables of the environment, in addition to those of this process.
        cwd: The working directory.
        stdin: The whole input.
        user: The name or number of the user.
    """

    env: Mapping[str, str] = {}
    cwd: str | os.PathLike[str] | None = None
    stdin: str | bytes | None = None
    user: str | int | None = None

    def options(self) -> dict[str, Any]:
        """The arguments of `subprocess.Popen`, without the input.

        Raises:
            UsageError: There is no such user or directory.
        """
        found: dict[str, Any] = {}
        if self.env:
            found["env"] = {**os.environ, **self.env}
        if self.cwd is not None:
            if not Path(self.cwd).is_dir():
                raise UsageError("cwd", os.fspath(self.cwd), f"is not a directory{_hidden(self.cwd)}", 'cwd="/srv"')
            found["cwd"] = self.cwd
        if self.user is not None:
            found |= _identity(self.user)
        return found

    def input_file(self) -> Any:
        """The input as an open file, at its beginning; for a program that is not waited for."""
        file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
        file.write(self.input_bytes())
        file.seek(0)
        return file

    def input_bytes(self) -> bytes:
        """The input in UTF-8."""
        return self.stdin.encode() if isinstance(self.stdin, str) else self.stdin or b""


def _identity(user: str | int) -> dict[str, Any]:
    try:
        entry = pwd.getpwuid(user) if isinstance(user, int) else pwd.getpwnam(user)
    except KeyError:
        raise UsageError("user", user, "is not a user of this machine", 'user="nobody"') from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}


def find_program(argv: Sequence[str]) -> None:
    """Show a program's directory in a lab kernel if the kernel mounts a separate tmpfs there, such as at /tmp."""
    program = argv[0] if argv else ""
    if program.startswith("/") and not os.path.exists(program):  # noqa: PTH110 -- hot
        hostfs.show_in_private_directory(program)


def why_not_started(argv: Sequence[str], error: OSError) -> str:
    """Why a program cannot be started, without a full stop."""
    return f"cannot be started ({error.strerror}{_hidden(argv[0])})"


def _hidden(path: str | os.PathLike[str]) -> str:
    place = os.fspath(path)
    if not is_private(place) or Path(place).exists():
        return ""
    return "; /tmp, /run, /var/tmp and /dev/shm are private to a run, without this machine's files"
