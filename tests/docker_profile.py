"""Runs a command under an approximation of Docker's default seccomp profile.

    python docker_profile.py COMMAND [ARGUMENT ...]

The profile is a list of permitted system calls. This filter refuses (EPERM) those of x86-64 that are not in it for a
container without added capabilities, clone() of namespaces, and other personalities than the permitted ones; clone3()
is missing (ENOSYS), as there. Source: profiles/seccomp/default.json of github.com/moby/profiles.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys

#: asm/unistd_64.h: the calls that the profile does not permit, and their numbers.
REFUSED = {
    "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
    "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175, "delete_module": 176,
    "query_module": 178, "quotactl": 179, "nfsservctl": 180, "acct": 163, "settimeofday": 164, "pivot_root": 155,
    "_sysctl": 156, "adjtimex": 159, "chroot": 161, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153,
    "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238, "get_mempolicy": 239,
    "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272,
    "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433,
}  # fmt: skip
CLONE, PERSONALITY, CLONE3 = 56, 135, 435
#: Of clone(): CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
NAMESPACES = 0x7E020000
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

#: linux/bpf_common.h, linux/seccomp.h, linux/prctl.h
LOAD, AND, EQUAL, JUMP, RETURN = 0x20, 0x54, 0x15, 0x05, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, ARGUMENT = 0, 16
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2


def instruction(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    """One instruction of a classic BPF program."""
    return struct.pack("HBBI", code, true, false, value)


def program() -> bytes:
    """The filter."""
    refuse, missing, allow = (
        instruction(RETURN, ERRNO | errno.EPERM),
        instruction(RETURN, ERRNO | errno.ENOSYS),
        instruction(RETURN, ALLOW),
    )
    lines = [instruction(LOAD, NUMBER)]
    for number in REFUSED.values():
        lines += [instruction(EQUAL, number, 0, 1), refuse]
    lines += [instruction(EQUAL, CLONE3, 0, 1), missing]
    masked = [instruction(LOAD, ARGUMENT), instruction(AND, NAMESPACES), instruction(EQUAL, 0, 0, 1), allow, refuse]
    lines += [instruction(EQUAL, CLONE, 0, len(masked)), *masked]
    known = [line for value in PERSONALITIES for line in (instruction(EQUAL, value, 0, 1), allow)]
    lines += [instruction(EQUAL, PERSONALITY, 0, len(known) + 2), instruction(LOAD, ARGUMENT), *known, refuse]
    return b"".join([*lines, allow])


def confine() -> None:
    """Put this process, and all that it starts, under the filter."""
    code = program()
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer)))
    for words in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter_, 0, 0)):
        if libc.prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    confine()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  no shell: the command is given in words
