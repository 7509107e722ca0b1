"""What forking a lab kernel costs, beside booting one: time, memory, and whether either grows.

    python benchmarks/forks.py                   50 forks beside 10 boots, memory, a tree of every single loss
    python benchmarks/forks.py --forks 10000     as many forks in a row, and what grew meanwhile

The job is an empty one, with everything imported that a test needs. Compare figures of one run only: they depend on
what else the machine does.
"""

# ruff: noqa: INP001, T201 -- a script, which prints
from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from handshake_lab.experiment.execute import conducted, explored
from handshake_lab.kernel.lab import parked_kernel, provide_lab
from handshake_lab.kernel.lab.lab_kernel import LabKernel
from handshake_lab.kernel.shared.job import Job
from handshake_lab.plan.checks import parse_links
from handshake_lab.plan.run_plan import RunPlan

ROOT = Path(__file__).resolve().parents[1]
EXCHANGE = "tests.kernel.branching_scripts:exchange"
#: What is imported before a kernel is parked: what a test with the fixture ``net`` needs.
PRELOAD = ("handshake_lab.pytest_plugin.preloaded",)


def milliseconds(kernel: LabKernel, times: int) -> list[float]:
    """How long an empty job takes, from the request to its result."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        with kernel.run(Job(call="builtins:print", preload=PRELOAD)) as result:
            assert result.status == 0 or result.console, result  # noqa: S101
            took.append(1000 * (time.perf_counter() - began))
    return took


def processor_time() -> float:
    """Milliseconds of processor time that ended children have taken; parked kernels are ended for that."""
    parked_kernel.close_all()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (used.ru_utime + used.ru_stime)


def processor_times(forks: LabKernel, boots: LabKernel, times: int) -> tuple[float, float]:
    """Milliseconds of processor time of a fork, and of a boot: less subject to what else the machine does."""
    marks = [processor_time()]
    for kernel, count in ((forks, 1), (forks, 1 + times), (boots, 4)):
        milliseconds(kernel, count)
        marks.append(processor_time())
    first, more, booted = (after - before for before, after in itertools.pairwise(marks))
    return (more - first) / times, booted / 4


TRIVIAL = """
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_nothing(net, number):
    pass
"""

#: The tests that are timed, however many forks are asked for.
MOST_TESTS = 200


def trivial_tests(count: int, *options: str) -> list[float]:
    """How long tests with the fixture ``net`` take that do nothing, from the request to the result."""
    with tempfile.TemporaryDirectory() as place:
        file, results = Path(place, "test_trivial.py"), Path(place, "results.xml")
        file.write_text(TRIVIAL.format(count=count + 1))
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={results}", *options]
        subprocess.run([*command, "-o", "junit_duration_report=call", str(file)], stdout=subprocess.DEVNULL, check=True)
        cases = ET.parse(results).iter("testcase")  # noqa: S314  pytest has just written it
        return [1000 * float(case.attrib["time"]) for case in cases][1:]


def row(name: str, took: list[float]) -> None:
    """Print a line of a table."""
    ordered = sorted(took)
    print(
        f"{name:28} median {statistics.median(took):7.1f} ms, least {ordered[0]:7.1f} ms, "
        f"19 of 20 within {ordered[int(len(ordered) * 0.95) - 1]:7.1f} ms"
    )


def processes() -> list[tuple[int, str]]:
    """The kernels that this process has started: their PIDs, and what they are."""
    children: dict[int, list[int]] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue
            name, _, rest = text.partition("(")[2].rpartition(")")
            children.setdefault(int(rest.split()[1]), []).append(int(entry.name))
            names[int(entry.name)] = name
    found, todo = [], list(children.get(int(Path("/proc/self").resolve().name), []))
    while todo:
        pid = todo.pop()
        found.append((pid, names[pid]))
        todo += children.get(pid, [])
    return found


def megabytes() -> float:
    """The memory of all kernels here, in MB, with shared pages counted once (Pss of /proc/PID/smaps_rollup)."""
    total = 0
    for pid, _ in processes():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def parked_states(kernel: LabKernel, depth: int) -> float:
    """MB for each of as many states that are parked one within another, in the middle of a connection."""
    plan = RunPlan(
        script=EXCHANGE,
        argument={"branches": {"at": f"any first={depth}", "of": ["deliver", "drop"]}},
        links=parse_links(["delay=50ms"]),
        kernel=kernel.info,
    )
    before = megabytes()
    runs = explored(plan, kernel, import_from=(ROOT,))
    run = next(runs)
    parked = len(run.branch)
    after = megabytes()
    runs.close()
    return (after - before) / parked


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forks", type=int, default=50, metavar="N", help="how many forks in a row (default: 50)")
    parser.add_argument("--boots", type=int, default=10, metavar="N", help="how many boots beside them (default: 10)")
    wanted = parser.parse_args()
    image = provide_lab.ensure()
    if not image.forks:
        print(f"Linux {image.release} cannot be forked")
        return 1
    forks, boots = LabKernel(image, fresh_boot=False), LabKernel(image)

    began = time.perf_counter()
    milliseconds(forks, 1)
    print(f"boot, imports, parking, and the first fork: {1000 * (time.perf_counter() - began):.0f} ms")
    print(f"a parked kernel with all imported: {megabytes():.0f} MB")
    row(f"{wanted.boots} boots", milliseconds(boots, wanted.boots))
    memory, descriptors = megabytes(), len(list(Path("/proc/self/fd").iterdir()))
    took = milliseconds(forks, wanted.forks)
    row(f"{wanted.forks} forks", took)
    tenth = max(len(took) // 10, 1)
    row("  of these, the first tenth", took[:tenth])
    row("  of these, the last tenth", took[-tenth:])
    grown = len(list(Path("/proc/self/fd").iterdir())) - descriptors
    print(f"grown by {megabytes() - memory:+.1f} MB, {grown:+d} descriptors, {len(processes())} processes are there")

    of_a_fork, of_a_boot = processor_times(forks, boots, 30)
    print(f"processor time of a fork {of_a_fork:.1f} ms, of a boot {of_a_boot:.1f} ms")

    row("trivial tests, forked", trivial_tests(min(wanted.forks, MOST_TESTS)))
    row("trivial tests, booted", trivial_tests(wanted.boots, "--handshake-fresh-boot"))

    points = {"at": "any", "deviations": 1}
    plan = RunPlan(script=EXCHANGE, argument={"branches": points}, links=parse_links(["delay=50ms"]), kernel=forks.info)
    with conducted(RunPlan(script=EXCHANGE, argument={}, kernel=forks.info), forks, import_from=(ROOT,)):
        pass  # a parked kernel for runs is there
    began = time.perf_counter()
    branches = sum(1 for _ in explored(plan, forks, import_from=(ROOT,)))
    print(f"a tree of every single loss: {branches} branches in {time.perf_counter() - began:.2f} s")
    print(f"a state parked in the middle of a connection: {parked_states(forks, 8):.1f} MB")
    parked_kernel.close_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
