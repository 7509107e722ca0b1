"""Checks for ``--kernel host``: this machine's own kernel, in private namespaces."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from handshake_lab.doctor.check import Check, Findings, apt_install, as_root, program, search_path
from handshake_lab.observers.trace_buffer import TRACEFS
from handshake_lab.observers.tracepoint import OTHER_EVENTS, STATE_EVENT

_TIMEOUT = 90.0  # seconds: each attempt of the probe may take up to ten

_CLOCK_MONOTONIC_COARSE = 6  # include/uapi/linux/time.h; Python has no name for it

_NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child")


@dataclass(frozen=True, slots=True)
class _Feature:
    """A feature of the kernel: what it is used for, and what provides it."""

    name: str
    label: str
    use: str
    module: str = ""
    package: str = ""
    needed: bool = True


_FEATURES = (
    _Feature("veth", "veth", "links between hosts", module="veth"),
    _Feature("bridge", "bridge", "switches", module="bridge"),
    _Feature("sch_netem", "sch_netem", "delay and loss on a link", module="sch_netem"),
    _Feature(
        "nftables", "nftables netdev, numgen", "faults on the n-th packet", module="nf_tables", package="nftables"
    ),
    _Feature("packet", "packet sockets", "captures", module="af_packet"),
    _Feature("inet_diag", "inet_diag", "socket states", module="tcp_diag"),
    _Feature("ifb", "ifb", "impairments of received packets", module="ifb", needed=False),
)


def examine() -> Findings:
    """Check this machine's own kernel; takes about half a second."""
    checks = [_kernel()]
    checks += [
        program(name, package) for name, package in (("ss", "iproute2"), ("nft", "nftables"), ("unshare", "util-linux"))
    ]
    private, options = _namespaces()
    checks.append(private)
    if private.ok:
        found = _probe(options)
        checks += [_feature(feature, found) for feature in _FEATURES]
    checks.append(_tracepoints())
    return Findings("host", "this machine's own kernel, in real time", tuple(checks))


def _kernel() -> Check:
    # The coarse clock advances once per tick (clock_getres(2)), so its resolution is 1/HZ.
    hz = round(1 / time.clock_getres(_CLOCK_MONOTONIC_COARSE))
    return Check("kernel", ok=True, detail=f"Linux {platform.release()}, HZ={hz}")


def _namespaces() -> tuple[Check, tuple[str, ...]]:
    """Check whether namespaces are available, and with which options of unshare(1)."""
    name = "private namespaces"
    own_user = ("--user", "--map-root-user", *_NAMESPACES)
    refused = _try(own_user)
    if not refused:
        return Check(name, ok=True, detail="user, network, mount, PID and IPC"), own_user
    if os.geteuid() == 0 and not _try(_NAMESPACES):
        return Check(
            name, ok=True, detail=f"network, mount, PID and IPC, as root (no user namespace: {refused})"
        ), _NAMESPACES
    return Check(name, ok=False, detail=refused, remedy=_allow_namespaces()), ()


def _try(options: tuple[str, ...]) -> str:
    """Make namespaces and bring up loopback in them; returns the error, or "" if there was none."""
    # Some distributions permit every user to create a user namespace, but grant no privileges in it.
    return _outcome(["unshare", *options, "ip", "link", "set", "lo", "up"])


def _outcome(command: list[str]) -> str:
    """Run a command; returns the error, or "" if there was none."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            env={**os.environ, "PATH": search_path(), "LC_ALL": "C"},
        )
    except FileNotFoundError:
        return f"there is no {command[0]} command"
    except subprocess.TimeoutExpired:
        return f"no answer within {_TIMEOUT:g} s"
    return "" if done.returncode == 0 else done.stderr.strip() or f"{command[0]} ended with status {done.returncode}"


def _allow_namespaces() -> str:
    """The command that allows unprivileged users to make namespaces."""
    for switch, value in (
        ("kernel.apparmor_restrict_unprivileged_userns", "0"),  # Ubuntu since 23.10
        ("kernel.unprivileged_userns_clone", "1"),  # Debian until 10
        ("user.max_user_namespaces", "10000"),
    ):
        file = Path("/proc/sys", *switch.split("."))
        if file.exists() and (file.read_text(encoding="ascii").strip() == "0") == (value != "0"):
            return as_root(f"sysctl -w {switch}={value}")
    return "run as root (sudo), or in a container with --privileged; or use --kernel lab"


def _probe(options: tuple[str, ...]) -> dict[str, str]:
    """Run the probe in namespaces; returns the error of each feature, "" for none."""
    package_root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(
            ["unshare", *options, sys.executable, "-P", "-m", "handshake_lab.doctor.host_probe"],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
            env={**os.environ, "PATH": search_path(), "PYTHONPATH": str(package_root), "LC_ALL": "C"},
        )
        reason = f"the probe ended with status {done.returncode}: {done.stderr.strip()[-200:]}"
    except subprocess.TimeoutExpired:
        return {feature.name: f"the probe did not finish within {_TIMEOUT:g} s" for feature in _FEATURES}
    if done.returncode != 0:
        return {feature.name: reason for feature in _FEATURES}
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _feature(feature: _Feature, found: dict[str, str]) -> Check:
    wrong = found[feature.name]
    if not wrong:
        return Check(feature.label, ok=True, detail=feature.use, needed=feature.needed)
    if wrong.startswith("there is no ") and feature.package:
        remedy = apt_install(feature.package)
    elif feature.module:
        remedy = _get_module(feature.module)
    else:
        remedy = "use --kernel lab: this kernel was built without it"
    return Check(feature.label, ok=False, detail=f"{feature.use}: {wrong}", remedy=remedy, needed=feature.needed)


def _get_module(module: str) -> str:
    """The command that provides a missing module, if this machine has one."""
    release = platform.release()
    modules = Path("/lib/modules", release)
    if any(modules.glob(f"kernel/**/{module}.ko*")):
        return as_root(f"modprobe {module}")
    if "-cloud-" in release:
        return as_root("apt-get install linux-image-amd64, then restart (the cloud kernel lacks it)")
    if release.endswith("-generic") and "Ubuntu" in platform.version():
        return apt_install(f"linux-modules-extra-{release}")
    return "use --kernel lab: this kernel has no such module"


def _tracepoints() -> Check:
    name, use = "tracepoints", "state changes, to the microsecond"
    events = TRACEFS / "events"
    readable = [point for point in (STATE_EVENT, *OTHER_EVENTS) if os.access(events / point / "format", os.R_OK)]
    if readable:
        return Check(name, ok=True, detail=f"{use}: {', '.join(readable)}", needed=False)
    lab = "use --kernel lab: this kernel was built without them"
    if "\ttracefs\n" not in Path("/proc/filesystems").read_text(encoding="ascii"):
        return Check(name, ok=False, detail=f"{use}: the kernel has no tracefs", remedy=lab, needed=False)
    if os.geteuid() != 0:
        remedy = "run as root (sudo): tracefs belongs to root. Without it the other observers work"
        return Check(name, ok=False, detail=f"{use}: {events} cannot be read", remedy=remedy, needed=False)
    # It may not be mounted. It is mounted in a separate mount namespace, where other processes do not see the mount.
    reading = f"mount -t tracefs none {events.parent} && cat {events}/{STATE_EVENT}/format"
    wrong = _outcome(["unshare", "--mount", "sh", "-c", reading])
    if not wrong:
        return Check(name, ok=True, detail=f"{use}; tracefs is not mounted, but can be", needed=False)
    return Check(name, ok=False, detail=f"{use}: {wrong}", remedy=lab, needed=False)
