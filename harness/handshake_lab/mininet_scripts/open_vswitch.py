"""Open vSwitch in a lab kernel, where it is installed: its database and its daemon, as its service starts them.

Source: ovsdb-server(1), ovs-vswitchd(8).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_RUN = Path("/run/openvswitch")
_DATABASE = _RUN / "conf.db"
_SOCKET = f"punix:{_RUN}/db.sock"
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vsctl", "ovs-vswitchd")
#: The daemons go on in the background, and write nothing to the console.
_BACKGROUND = ("--detach", "--no-chdir", "--pidfile", "-vconsole:off")


def start() -> bool:
    """Start the daemons; False if Open vSwitch is not installed, or does not start."""
    if not _SCHEMA.exists() or not all(map(shutil.which, _PROGRAMS)):
        return False
    for directory in (_RUN, Path("/etc/openvswitch"), Path("/var/log/openvswitch")):
        directory.mkdir(parents=True, exist_ok=True)
    commands = (
        ("ovsdb-tool", "create", str(_DATABASE), str(_SCHEMA)),
        ("ovsdb-server", str(_DATABASE), f"--remote={_SOCKET}", *_BACKGROUND),
        ("ovs-vsctl", "--no-wait", "init"),
        ("ovs-vswitchd", f"unix:{_RUN}/db.sock", *_BACKGROUND),
    )
    return all(subprocess.run(each, capture_output=True, check=False).returncode == 0 for each in commands)
