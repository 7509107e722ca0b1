"""What programs in the lab kernel see of time and chance does not depend on the host, and loops that wait end."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import handshake_lab as hl
import pytest
from command_line import handshake, parked_kernels
from handshake_lab.doctor import determinism
from handshake_lab.doctor.host_conditions import SHORT
from handshake_lab.errors import KernelFailed
from handshake_lab.recording.observations import NotRepeatable

if TYPE_CHECKING:
    from handshake_lab import Run

_COUNTER = r"""
#include <cpuid.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>
int main(void)
{
	struct timespec before, after;
	unsigned core;
	clock_gettime(CLOCK_MONOTONIC, &before);
	unsigned long long first = __rdtsc();
	nanosleep(&(struct timespec){ .tv_nsec = 500 * 1000 * 1000 }, NULL);
	unsigned long long second = __rdtscp(&core);
	clock_gettime(CLOCK_MONOTONIC, &after);
	long long passed = (after.tv_sec - before.tv_sec) * 1000000000LL + after.tv_nsec - before.tv_nsec;
	printf("%llu %llu %u %d\n", first, second, core, llabs((long long)(second - first) - passed) < 100000);
	return 0;
}
"""

_SPIN = r"""
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
static volatile int flag;
static void *set(void *nap) { usleep(atoi(nap) * 1000); flag = 1; return NULL; }
int main(int count, char **words)
{
	pthread_t thread;
	struct timespec now;
	pthread_create(&thread, NULL, set, words[2]);
	while (!flag)
		if (!strcmp(words[1], "yield")) sched_yield();
		else if (!strcmp(words[1], "clock")) clock_gettime(CLOCK_MONOTONIC, &now);
		else if (!strcmp(words[1], "tsc")) __builtin_ia32_rdtsc();
	puts("done");
	return 0;
}
"""

_DRAW = r"""
#include <immintrin.h>
#include <stdio.h>
int main(void) { unsigned long long x = 0; printf("%d\n", _rdrand64_step(&x)); return 0; }
"""

_CXX = r"""
#include <iostream>
#include <random>
int main() { std::random_device device; std::cout << device() << ' ' << device() << '\n'; }
"""


def _compile(place: Path, name: str, source: str, *flags: str, compiler: str = "gcc") -> str:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    code = place / f"{name}.{'cpp' if compiler == 'g++' else 'c'}"
    code.write_text(source)
    subprocess.run([compiler, "-O1", *flags, "-o", str(place / name), str(code)], check=True)
    return f"./{name}"


def _record(place: Path, command: str, out: str = "run", **options: object) -> Run:
    with parked_kernels(), contextlib.chdir(place):
        return hl.record(clients=[command], out=place / out, **options)  # type: ignore[arg-type]


def _printed(run: Run) -> str:
    assert run.directory is not None
    return (run.directory / "h1-client-1.out").read_text()


def _exceptions(run: Run) -> list[tuple[str, str, str]]:
    return [(each.node, each.reason, each.program) for each in run.observations if isinstance(each, NotRepeatable)]


def test_the_time_stamp_counter_counts_virtual_time(tmp_path: Path) -> None:
    """It is the same in each run, agrees with the clock, and names processor 0."""
    command = _compile(tmp_path, "counter", "#include <stdlib.h>\n" + _COUNTER)
    one, other = (_record(tmp_path, command, out) for out in ("one", "other"))
    first, second, core, agrees = map(int, _printed(one).split())
    assert (core, agrees) == (0, 1)
    assert 499_000_000 < second - first < 501_000_000
    assert _printed(other) == _printed(one)
    assert _exceptions(one) == []


@pytest.mark.parametrize("how", ["yield", "clock", "tsc"])
@pytest.mark.parametrize("cost", [None, "syscall=1us,clock=1us,tsc=100ns"])
def test_a_loop_that_uses_the_machine_ends(tmp_path: Path, how: str, cost: str | None) -> None:
    """It waits for another thread that sleeps; the run repeats."""
    command = _compile(tmp_path, "spin", _SPIN, "-pthread")
    nap = 20 if how == "clock" else 5
    one, other = (_record(tmp_path, f"{command} {how} {nap}", out, cost=cost) for out in ("one", "other"))
    assert _printed(one) == "done\n"
    assert _exceptions(one) == []
    assert one.observations == other.observations


def test_a_loop_without_a_system_call_ends_and_is_declared(tmp_path: Path) -> None:
    """The run says that it does not repeat, and which program is why."""
    command = _compile(tmp_path, "spin", _SPIN, "-pthread")
    run = _record(tmp_path, f"{command} pure 100")
    assert _printed(run) == "done\n"
    assert _exceptions(run) == [("h1", "preempted", "./spin pure 100")]
    assert [each.code for each in run.record.objections] == ["preempted_on"]


def test_a_program_that_never_ends_is_named_with_its_stack(tmp_path: Path) -> None:
    """A Python that waits for nothing: at the wall-clock limit, the message says what it did, and where.

    In a fork; tests/recorder/test_record.py has a kernel that was booted for its run.
    """
    (tmp_path / "forever.py").write_text(
        "import time\n\n\ndef wait():\n    while True:\n        time.time()\n\n\nwait()\n"
    )
    with pytest.raises(KernelFailed, match=r"waits in a loop") as failed:
        _record(tmp_path, "python3 forever.py", wall_limit=12.0)
    assert "python3" in str(failed.value)
    assert 'forever.py", line 6 in wait' in str(failed.value)


def test_a_run_repeats_under_conditions_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``handshake doctor --determinism --short`` compares it, for the program in Python."""
    monkeypatch.setattr(determinism, "SUBJECTS", determinism.SUBJECTS[:1])
    found = list(determinism.examine(short=True))

    assert [(each.language, each.same, each.detail) for each in found] == [("Python", True, "")] * (len(SHORT) - 1)


def test_instructions_that_draw_random_numbers_are_declared(tmp_path: Path) -> None:
    """They cannot be trapped: the run reports that it may not repeat."""
    command = _compile(tmp_path, "draw", _DRAW, "-mrdrnd")
    run = _record(tmp_path, command)
    assert _exceptions(run) == [("h1", "random_instruction", "./draw")]


def test_random_device_follows_the_seed(tmp_path: Path) -> None:
    """The C++ library is kept from the processor's random numbers."""
    command = _compile(tmp_path, "random", _CXX, compiler="g++")
    printed = [_printed(_record(tmp_path, command, str(number), seed=seed)) for number, seed in enumerate((1, 1, 2))]
    assert printed[0] == printed[1] != printed[2]


_METADATA = """
import os, sys
from pathlib import Path
here = Path("data")
for name in os.listdir(here):
    print(name, os.stat(here / name), (here / name).read_text())
print(os.stat(here), os.statvfs(here), os.uname(), Path("/proc/cpuinfo").read_text(), Path("/proc/mounts").read_text())
print(os.path.exists("__pycache__"), os.listdir("."))
"""


def test_metadata_of_files_is_that_of_a_copy(tmp_path: Path) -> None:
    """Made in another order, at another time, with bytecode beside them, and started at another path: the same."""
    places = tmp_path / "one", tmp_path / "another" / "path"
    names = ["b", "a", "c"]
    for place in places:
        (place / "data").mkdir(parents=True)
        for name in names:
            (place / "data" / name).write_text(f"content of {name}")
        (place / "metadata.py").write_text(_METADATA)
        names.reverse()
    os.utime(places[1] / "data" / "a", (1, 1))
    os.link(places[1] / "data" / "a", tmp_path / "link")
    (places[1] / "__pycache__").mkdir()
    runs = [_record(place, "python3 metadata.py", str(tmp_path / f"run-{place.name}")) for place in places]
    shown = [_printed(run).replace(str(place), "HERE") for run, place in zip(runs, places, strict=True)]
    assert shown[0] == shown[1]
    assert "st_mtime=1767225600" in shown[0]
    assert str(tmp_path / "run-one") not in shown[0]
    assert shown[0].index("content of a") < shown[0].index("content of b") < shown[0].index("content of c")


def test_a_run_that_repeats(tmp_path: Path) -> None:
    """`--check-repeat` says so, with the number of events that it compared."""
    done = handshake("demo", "--check-repeat", "--loss", "20%", "--seed", "7", "--plain", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert re.search(r"repeated: all \d\d+ events and all output are the same", done.stderr)


@pytest.mark.skipif("rdrand" not in Path("/proc/cpuinfo").read_text(), reason="this processor has no RDRAND")
def test_a_run_that_does_not_repeat(tmp_path: Path) -> None:
    """`--check-repeat` fails, and names the output that differs and its program."""
    command = _compile(tmp_path, "draw", _DRAW.replace("return 0", 'printf("%llu\\n", x); return 0'), "-mrdrnd")
    done = handshake("record", "--check-repeat", "--client", command, "--plain", cwd=tmp_path)

    assert done.returncode == 1
    assert "the run does not repeat: " in done.stderr
    assert "h1-client-1" in done.stderr


def test_memory_and_clock_are_chosen(tmp_path: Path) -> None:
    """A certificate made today is valid, because programs see the date; and the memory is that which was chosen."""
    code = "import os, time; print(time.gmtime()[:3], os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20)"
    words = [
        "record",
        "--memory",
        "1024",
        "--clock-start",
        "2031-05-06",
        "--out",
        "run",
        "--client",
        f'python3 -c "{code}"',
    ]
    done = handshake(*words, cwd=tmp_path)
    date, _, memory = (tmp_path / "run" / "h1-client-1.out").read_text().strip().rpartition(" ")

    assert done.returncode == 0, done.stderr
    assert date == "(2031, 5, 6)"
    assert 900 < int(memory) <= 1024
