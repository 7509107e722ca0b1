"""The lab kernel's configuration, and the changes to its source."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from handshake_lab.errors import EnvironmentUnsupported
from handshake_lab.kernel.lab.build import patch_series

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_FILE = Path(__file__).with_name("lab.config")

_SET = re.compile(r"^(CONFIG_\w+)=(.+)$")
_UNSET = re.compile(r"^# (CONFIG_\w+) is not set$")


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One change to the kernel's source, made before it is configured.

    Attributes:
        file: Path inside the source tree.
        pattern: Regular expression (multi-line) of the code to replace.
        replacement: The code that replaces it.
        why: The reason.
    """

    file: str
    pattern: str
    replacement: str
    why: str


_FREE = """\
/*
 * Whether the caller's reading of the clock, or its system call that failed, takes no time: it is the process that
 * records a run, or the kernel itself. One that does so 10000 times while nothing else lets time pass waits in a loop,
 * and from then on it takes time.
 */
bool time_travel_free(unsigned int cost)
{
\tstatic unsigned long long instant;
\tstatic unsigned int used;

\tif (current->mm && !(current->personality & WHOLE_SECONDS))
\t\treturn false;
\tif (time_travel_time != instant) {
\t\tinstant = time_travel_time;
\t\tused = 0;
\t}
\tif (used < 10000) {
\t\tused++;
\t\treturn true;
\t}
\tinstant += cost;
\treturn false;
}

static u64 timer_read(struct clocksource *cs)"""

_TICKS = """\
\tbool ticks = syscall == __NR_clock_gettime && UPT_SYSCALL_ARG1(&regs->regs) == CLOCK_BOOTTIME &&
\t\t     (current->personality & WHOLE_SECONDS);

\tif (ticks)
\t\ttime_travel_ndelay(TIMER_MULTIPLIER);

\tif (syscall >= 0 && syscall < __NR_syscalls) {"""

ADJUSTMENTS = (
    Adjustment(
        "arch/um/Kconfig",
        r"^(config HZ\n\tint\n\tdefault) 100$",
        r"\1 250",
        "User-Mode Linux fixes HZ at 100. Debian's own kernels use 250, so that TCP's timers are rounded up to 4 ms "
        "rather than 10.",
    ),
    Adjustment(
        "drivers/net/ifb.c",
        r"^(\t\tnf_skip_egress\(skb,) true\);$",
        r"\1 !skb->from_ingress);",
        "ifb marks each frame, so that no egress hook handles it twice. A frame that it returns to the ingress keeps "
        "the mark, and the egress hook of the next interface, where faults are, skips it. Only frames that ifb sends "
        "again need the mark.",
    ),
    Adjustment(
        "kernel/irq/handle.c",
        r"^\tadd_interrupt_randomness\(desc->irq_data\.irq\);$",
        "",
        "The seed of a run must not depend on the times of interrupts before the run.",
    ),
    Adjustment(
        "drivers/char/random.c",
        r"\barch_get_random(_seed)?_longs\(&block\.rdseed\[i\], ARRAY_SIZE\(block\.rdseed\) - i\)",
        "0",
        "User-Mode Linux takes these from the host's getrandom(), which the seed shim answers: the random numbers of a "
        "run must not depend on how often it was called before.",
    ),
    Adjustment(
        "drivers/char/random.c",
        r"^(\t\tblock\.rdseed\[i\+\+\] =) random_get_entropy\(\);$",
        r"\1 0;",
        "They must not depend on how often the clock was read before, either.",
    ),
    Adjustment(
        "drivers/char/random.c",
        r"^(\tcase RNDCLEARPOOL:\n)\t\t/\* No longer has any effect\. \*/\n"
        r"(\t\tif \(!capable\(CAP_SYS_ADMIN\)\)\n\t\t\treturn -EPERM;\n)\t\treturn 0;$",
        r"\1\2\t\tblake2s_init(&input_pool.hash, BLAKE2S_HASH_SIZE);\n\t\treturn 0;",
        "Restores the former effect of the call: it clears the pool when a run begins, so that the run does not depend "
        "on what programs did before.",
    ),
    Adjustment(
        "drivers/char/random.c",
        r"(?<!->)\bentropy = random_get_entropy\(\)",
        "entropy = 0",
        "random_get_entropy() reads the clock in User-Mode Linux: random numbers must not depend on the times at which "
        "devices were created and processes exited.",
    ),
    Adjustment(
        "arch/um/include/linux/time-internal.h",
        r"^#define TIMER_MULTIPLIER\s+256$",
        "#define TIMER_MULTIPLIER 256\n\nbool time_travel_free(unsigned int cost);",
        "Declares the function that the next adjustment defines.",
    ),
    Adjustment(
        "arch/um/kernel/time.c",
        r"^static u64 timer_read\(struct clocksource \*cs\)$",
        _FREE,
        "In User-Mode Linux each reading of the clock takes 256 ns of virtual time, and each failed system call 1 µs, "
        "so that a loop that waits for a time ends. How often Python does either depends on its version, its build and "
        "its installation. Therefore neither takes time for the process that records a run, unless it repeats them "
        "10000 times without anything else happening. This process has the personality WHOLE_SECONDS, which Linux does "
        "not use otherwise.",
    ),
    Adjustment(
        "arch/um/kernel/time.c",
        r"^(\t\t    !time_travel_ext_waiting)\)$",
        r"\1 && !time_travel_free(TIMER_MULTIPLIER))",
        "Applies the rule to readings of the clock.",
    ),
    Adjustment(
        "arch/um/kernel/time.c",
        r"^#include <linux/interrupt\.h>$",
        "#include <linux/interrupt.h>\n#include <linux/personality.h>",
        "Declares WHOLE_SECONDS.",
    ),
    Adjustment(
        "arch/um/kernel/skas/syscall.c",
        r"^\tif \(syscall >= 0 && syscall < __NR_syscalls\) \{$",
        _TICKS,
        "For the process that records a run, a clock_gettime() of the time since boot takes virtual time, so that the "
        "begin and the end of each recorded call have different times.",
    ),
    Adjustment(
        "arch/um/kernel/skas/syscall.c",
        r"^\t\tif \(IS_ERR_VALUE\(ret\) &&$",
        "\t\tif (ticks)\n\t\t\ttime_travel_ndelay(TIMER_MULTIPLIER);\n\n"
        "\t\tif (IS_ERR_VALUE(ret) && !time_travel_free(NSEC_PER_USEC) &&",
        "Applies the rule to failed system calls.",
    ),
    Adjustment(
        "arch/um/kernel/skas/syscall.c",
        r"^#include <linux/ptrace\.h>$",
        "#include <linux/personality.h>\n#include <linux/ptrace.h>\n#include <linux/time.h>",
        "Declares WHOLE_SECONDS and NSEC_PER_USEC.",
    ),
    Adjustment(
        "arch/um/kernel/exec.c",
        r"^(\tPT_REGS_IP\(regs\) = eip;)$",
        r"\tcurrent->personality &= ~WHOLE_SECONDS;\n\1",
        "Programs that this process starts do not inherit the personality.",
    ),
    Adjustment(
        "arch/um/kernel/exec.c",
        r"^#include <linux/ptrace\.h>$",
        "#include <linux/personality.h>\n#include <linux/ptrace.h>",
        "Declares WHOLE_SECONDS.",
    ),
)

# For every build: the same source gives the same kernel on any machine, down to
# /proc/version, which the guest can read.
MAKE_VARIABLES: Mapping[str, str] = {
    "ARCH": "um",
    "KBUILD_BUILD_TIMESTAMP": "2000-01-01 00:00:00 UTC",
    "KBUILD_BUILD_USER": "handshake",
    "KBUILD_BUILD_HOST": "lab",
    "KBUILD_BUILD_VERSION": "1",
}


def parse(text: str) -> dict[str, str]:
    """The options of a ``.config`` file; ``n`` for "is not set"."""
    options = {}
    for line in text.splitlines():
        if found := _SET.match(line):
            options[found[1]] = found[2]
        elif found := _UNSET.match(line):
            options[found[1]] = "n"
    return options


def wanted() -> dict[str, str]:
    """The options of ``lab.config``."""
    return parse(CONFIG_FILE.read_text(encoding="utf-8"))


def key() -> str:
    """Twelve characters that identify the configuration of the build.

    They depend on the options (not the comments), the changes to the source, the
    patches and the variables of make, but not on the release of Linux.
    """
    parts = [f"{option}={value}" for option, value in sorted(wanted().items())]
    parts += [f"{change.file}\0{change.pattern}\0{change.replacement}" for change in ADJUSTMENTS]
    parts += [f"{patch.name}\0{patch.read_text(encoding='utf-8')}" for patch in patch_series.series()]
    parts += [f"{name}={value}" for name, value in sorted(MAKE_VARIABLES.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def adjust(tree: Path) -> list[str]:
    """Make the changes to a source tree.

    Returns:
        One sentence for every change that does not apply to this release.
    """
    notes = []
    for change in ADJUSTMENTS:
        file = tree / change.file
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        text, count = re.subn(change.pattern, change.replacement, before, flags=re.MULTILINE)
        if count == 0:
            notes.append(f"In this release, {change.file} does not contain {change.pattern!r}; it was not changed.")
            continue
        file.write_text(text, encoding="utf-8")
    return notes


def known_options(tree: Path) -> frozenset[str]:
    """Every option that this release of Linux has for User-Mode Linux."""
    declared = re.compile(r"^\s*(?:menu)?config\s+(\w+)\s*$", re.MULTILINE)
    elsewhere = {path for path in (tree / "arch").iterdir() if path.is_dir() and path.name not in {"um", "x86"}}
    names: set[str] = set()
    for file in tree.rglob("Kconfig*"):
        if file.is_file() and not elsewhere.intersection(file.parents):
            names.update(
                "CONFIG_" + name for name in declared.findall(file.read_text(encoding="utf-8", errors="replace"))
            )
    return frozenset(names)


def lost_options(asked: Mapping[str, str], got: Mapping[str, str], known: frozenset[str]) -> list[str]:
    """The lines of ``asked`` that Kconfig has dropped, although this release has the option.

    Kconfig silently drops an option that depends on a disabled one; here this
    is an error.
    """
    return [
        f"{option}={value} (got {got.get(option, 'n')})"
        for option, value in asked.items()
        if got.get(option, "n") != value and option in known
    ]


def check(tree: Path, release: str) -> dict[str, str]:
    """The final options of a configured tree.

    Raises:
        EnvironmentUnsupported: A line of ``lab.config`` was dropped.
    """
    got = parse((tree / ".config").read_text(encoding="utf-8"))
    lost = lost_options(wanted(), got, known_options(tree))
    if lost:
        raise EnvironmentUnsupported(
            f"Linux {release} does not accept these lines of {CONFIG_FILE.name}: {', '.join(lost)}",
            "Build another release, for example: handshake kernel build --version 6.1",
        )
    return got
