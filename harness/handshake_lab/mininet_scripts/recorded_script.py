"""Inside the kernel: runs a script beside the recorder, and attaches to the nodes that the script creates."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from handshake_lab.errors import HandshakeError, WaitTimedOut
from handshake_lab.experiment.live_recording import Journal
from handshake_lab.experiment.repeatability import charge
from handshake_lab.experiment.run_start import begin, repeatable
from handshake_lab.kernel.lab import writable_root
from handshake_lab.linux import netns
from handshake_lab.linux.netlink import links
from handshake_lab.linux.netlink.connection import Netlink
from handshake_lab.mininet_scripts import channel, iptables, open_vswitch, script_process
from handshake_lab.mininet_scripts.script_lines import ask_for_line
from handshake_lab.mininet_scripts.script_nodes import ScriptNodes
from handshake_lab.mininet_scripts.script_plan import SCRIPT, ScriptPlan
from handshake_lab.mininet_scripts.written_files import copy_written
from handshake_lab.observers.clock import Clock
from handshake_lab.observers.recorder import Recorder
from handshake_lab.plan.cost import NO_COST
from handshake_lab.recording.events_file import Writer
from handshake_lab.recording.observations import FORMAT_VERSION, Program, RunEnd, RunHeader
from handshake_lab.recording.run_files import ERROR, EVENTS, SCRIPT_FILES, SCRIPT_OUTPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The first directory of PATH.
_PROGRAMS = Path("/usr/local/sbin")
#: Debian's list of interfaces.
_INTERFACES = Path("/etc/network/interfaces")
#: Seconds of virtual time without any event after which the script is considered blocked.
_IDLE = 3600.0
#: The number of lines of its output that the error shows.
_LINES = 15


def enter(argument: Any, results: Path) -> int:
    """The job that `handshake_lab.mininet_scripts.run_script` runs on a kernel."""
    plan = msgspec.convert(argument, ScriptPlan)
    try:
        if plan.kernel.kind == "lab":
            _prepare_root()
            open_vswitch.start()  # a script looks for itself whether it runs
            _record(plan, results)
            if root := writable_root.current():
                copy_written(root, plan.directory, results / SCRIPT_FILES)
        else:
            _protect_interfaces()
            _record(plan, results)
    except HandshakeError as error:
        (results / ERROR).write_text(json.dumps(error.to_document()))
    return 0


def _prepare_root() -> None:
    """Create files in a private root that scripts expect to exist."""
    with Netlink() as netlink:  # controllers and switches talk over it
        netlink.ask([links.switch_on("lo")])
    if writable_root.current() is None:
        return
    # Mininet's NAT adds a line to it; not every distribution has one.
    _INTERFACES.parent.mkdir(exist_ok=True)
    _INTERFACES.touch()
    _PROGRAMS.mkdir(exist_ok=True)
    for name in iptables.NAMES:
        if shutil.which(name):
            program = _PROGRAMS / name
            words = shlex.join([sys.executable, "-I", "-S", iptables.__file__, name])
            program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            program.chmod(0o755)


def _protect_interfaces() -> None:
    """Where the root is the machine's own: have Mininet's NAT write to a copy of the list of interfaces."""
    if netns.mounts_are_private() and _INTERFACES.exists():
        copy = Path("/run", _INTERFACES.name)
        shutil.copyfile(_INTERFACES, copy)
        netns.bind(str(copy), str(_INTERFACES))


def _record(plan: ScriptPlan, results: Path) -> None:
    seed = plan.kernel.seed
    with repeatable(seed), Writer(results / EVENTS) as writer:
        clock = Clock(virtual=not plan.kernel.computing_takes_time)
        journal = Journal(writer)
        recorder = Recorder([], clock, journal, int(plan.heartbeat * 1e9), curves=plan.curves)
        recorder.open()
        kernel = msgspec.structs.replace(plan.kernel, release=os.uname().release)
        numbers = itertools.count(1)

        def read_line() -> str:
            if kernel.kind == "vm" and not kernel.real_time:
                return ""  # this machine is not there to answer while such a run takes place
            return ask_for_line(results, next(numbers), real_time=kernel.real_time)

        with contextlib.closing(ScriptNodes(recorder, clock, plan.rate, read_line)) as nodes, recorder:
            if plan.cost != NO_COST:
                charge(plan.cost, seed, optional=False)
            if seed is not None:
                begin(seed, "run")
            clock.start()
            header = RunHeader(
                t=0,
                version=FORMAT_VERSION,
                kernel=kernel,
                topology=Path(plan.script).name,
                nodes={},
                links=[],
                faults=[],
                observers=recorder.observers,
                started=clock.started,
                replay=plan.replay,
            )
            journal.write_all([header])
            recorder.sync()
            _run(plan, results, nodes, recorder, clock, lambda: len(journal.observations))
        journal.write_all([RunEnd(t=recorder.ended)])


def _run(
    plan: ScriptPlan,
    results: Path,
    nodes: ScriptNodes,
    recorder: Recorder,
    clock: Clock,
    observed: Callable[[], int],
) -> None:
    """Run the script to its end, and answer its messages.

    Raises:
        WaitTimedOut: Nothing happened for an hour of virtual time.
    """
    if plan.source is not None:
        Path(plan.script).write_text(plan.source, "utf-8")
    command = shlex.join([plan.script, *plan.arguments])
    recorder.hand_in(Program(clock.now(), "", SCRIPT, command, "starts"))
    with _started(plan, results) as (process, ours):
        try:
            while (message := _next_message(plan, results, ours, observed)) is not None:
                ours.send(nodes.answer(message))
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            status = process.wait()
    status = status if status >= 0 else 128 - status
    recorder.hand_in(Program(clock.now(), "", SCRIPT, command, "ends", str(status)))
    recorder.sync()


def _next_message(
    plan: ScriptPlan, results: Path, ours: channel.Channel, observed: Callable[[], int]
) -> dict[str, Any] | None:
    output = results / SCRIPT_OUTPUT
    while True:
        before = observed(), output.stat().st_size
        try:
            return ours.receive(None if plan.kernel.real_time else _IDLE)
        except TimeoutError:
            if before == (observed(), output.stat().st_size):
                last = output.read_text("utf-8", "replace").splitlines()[-_LINES:]
                raise WaitTimedOut(
                    f"{Path(plan.script).name}: any event; the script is blocked in a wait that does not end",
                    _IDLE,
                    last,
                ) from None


@contextlib.contextmanager
def _started(plan: ScriptPlan, results: Path) -> Iterator[tuple[subprocess.Popen[bytes], channel.Channel]]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, (results / SCRIPT_OUTPUT).open("wb", buffering=0) as output:
        with there:
            process = subprocess.Popen(
                [plan.python, "-P", script_process.__file__, plan.script, *plan.arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=plan.directory,
                env={**os.environ, channel.VARIABLE: str(there.fileno())},
                pass_fds=(there.fileno(),),
                start_new_session=True,
            )
        yield process, channel.Channel(here)
