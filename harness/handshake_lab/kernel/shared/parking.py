"""What a machine does before it is parked, and continues in copies: forks of a lab kernel, or restored templates."""

from __future__ import annotations

import gc
import time

from handshake_lab.linux.inode_numbers import STAGE, skip_to

#: More than a job takes before it begins its run.
_INODES_OF_A_JOB = 16


def prepare_for_copies() -> None:
    """Reduce the memory that a copy writes to, because each page that is written to is copied."""
    # Later collections skip the present objects; to visit an object is to write to it.
    gc.collect()
    gc.freeze()
    # After a grace period of RCU, whose end no file reports, the kernel has freed memory that a copy would contain.
    time.sleep(0.1)
    # A run's sockets begin at a multiple (handshake_lab/experiment/run_start.py): leave few numbers until then.
    skip_to(STAGE, before=_INODES_OF_A_JOB)
