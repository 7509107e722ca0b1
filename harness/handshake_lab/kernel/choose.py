"""Selecting a kernel by its name, as in ``--kernel lab:6.1``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handshake_lab.errors import UsageError
from handshake_lab.kernel.lab.lab_machine import USUAL, LabMachine
from handshake_lab.kernel.shared.kernel_name import KernelName

if TYPE_CHECKING:
    from handshake_lab.kernel.shared.protocol import Kernel

#: Default limit in seconds of real time, after which a kernel is killed: it probably loops.
WALL_LIMIT = 120.0


def choose_kernel(
    name: str,
    seed: int,
    wall_limit: float = WALL_LIMIT,
    *,
    fresh_boot: bool = True,
    machine: LabMachine = USUAL,
) -> Kernel:
    """The kernel that ``--kernel`` names, ready to run; a missing lab kernel is built.

    Args:
        name: The option's value.
        seed: The seed of a kernel in virtual time.
        wall_limit: Seconds of real time after which a run is killed.
        fresh_boot: Boot a lab kernel for every run. Otherwise it is booted once and forked, which is faster from the
            second run on.
        machine: A lab kernel's memory and clock.

    Raises:
        UsageError: There is no such kind of kernel, or its memory and clock cannot be chosen.
        EnvironmentUnsupported: This machine cannot run it.
    """
    kind, version, real_time = KernelName.parse(name)
    if kind == "lab":
        from handshake_lab.kernel.lab.lab_images import LabImages
        from handshake_lab.kernel.lab.lab_kernel import LabKernel
        from handshake_lab.kernel.shared.progress import shown

        image = LabImages().find(version or None)
        if image is None:
            from handshake_lab.kernel.lab import provide_lab

            with shown() as progress:
                image = provide_lab.ensure(version or None, progress)
        return LabKernel(image, seed=seed, wall_limit=wall_limit, fresh_boot=fresh_boot, machine=machine)
    if machine != USUAL:
        raise UsageError("--kernel", name, "has its own clock and memory; those of lab can be chosen", "--kernel lab")
    if kind == "host":
        from handshake_lab.kernel.host.host_kernel import HostKernel
        from handshake_lab.kernel.shared import helper_programs

        return HostKernel(helper_programs.supervisor(), wall_limit=wall_limit)
    if kind == "vm":
        from handshake_lab.kernel.vm import vm_kernel
        from handshake_lab.kernel.vm.virtual import virtual_vm

        if real_time:
            return vm_kernel.prepared(version, wall_limit=wall_limit)
        return virtual_vm.prepared(version, seed, wall_limit=wall_limit)
    raise UsageError("--kernel", name, "is not a kind of kernel", "--kernel lab")
