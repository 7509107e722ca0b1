"""Every example of every help text and every command in README and docs: run in a shell as it stands, or parsed.

What takes minutes, needs another kernel or changes the machine is parsed only: its verb and its options have to exist.
test_sessions.py runs the pages whose commands belong together.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from command_line import shell, write_program
from handshake_lab.cli.main import command
from page_blocks import blocks, is_session

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *(page for page in sorted((ROOT / "docs").rglob("*.md")) if ".ko" not in page.suffixes)]
#: Commands that are parsed only here: why, and the test that runs the same with less, or elsewhere.
LONG = {
    r"scenarios run --all.*--seeds": ("runs all scenarios often", "plugin/test_variants.py::test_seeds"),
    r"scenarios mutate --all": ("runs all scenarios twice", "plugin/test_variants.py::test_mutations"),
    r"scenarios run .*--kernels": (
        "runs on several kernels",
        "unit/test_json_page.py::test_what_a_command_prints_is_valid",
    ),
    r"scenarios run --all": ("runs all scenarios", "field/test_labels_are_faults.py::records"),
    r"^handshake claims\b.*--markdown": ("runs all claims", "unit/test_claims.py::test_page"),
    r"^handshake claims( --kernel lab:6.1 --json.*)?$": (
        "runs all claims",
        "unit/test_claims.py::test_json_of_chosen_claims",
    ),
    r"^handshake test\b.*--kernel vm": (
        "needs a virtual machine",
        "vm/test_command.py::test_a_session_of_pytest_boots_once",
    ),
    r"^handshake test\b": (
        "runs this project's tests",
        "unit/test_bootstrap.py::test_what_tests_need_is_installed_for_them",
    ),
    r"^handshake explore\b.*--replay": ("needs a finding", "explore/test_workers.py::test_a_run_repeats_itself"),
    r"^handshake explore\b.*--server": ("takes minutes", "explore/test_double_faults.py::doubles"),
    r"^handshake explore\b": ("takes minutes", "explore/test_planted.py::test_a_planted_bug_is_found"),
    r"^handshake bundle\b": (
        "needs a finding",
        "explore/test_single_faults.py::test_a_lost_segment_that_breaks_a_test_is_found",
    ),
    r"^handshake docs\b": ("builds the site", "unit/test_site.py::site"),
    r"^handshake diff\b": ("needs two runs, and exits with 1", "unit/test_report_diff.py::test_the_verb"),
    r"^handshake course\b(?! list)": (
        "needs a student's folder",
        "courses/test_grading.py::test_a_student_from_start_to_hand_in",
    ),
    r"\bhandshake run\b": ("needs Mininet's programs", "run/test_scripts.py::test_two_hosts_and_a_web_server_twice"),
    r"doctor --determinism": ("takes minutes", "kernel/test_determinism.py::test_random_device_follows_the_seed"),
    r"iperf3": ("takes minutes", "recorder/test_record.py::test_iperf3_at_five_percent_loss"),
    r"^handshake kernel build": ("takes minutes", "unit/test_kernel_store.py::test_a_kernel_is_built_and_found"),
    r"^handshake kernel (export|import)": (
        "needs room for a kernel",
        "unit/test_kernel_packaging.py::test_an_exported_kernel_is_found_where_it_is_imported",
    ),
    r"^handshake kernel wheel": (
        "needs room for a kernel",
        "unit/test_kernel_packaging.py::test_a_wheel_is_installed_and_found",
    ),
    r"^handshake (kernel remove|cache clean --all)": ("removes kernels", "unit/test_kernel_store.py::test_removing"),
    r"^handshake serve\b": ("serves until it is ended", "kernel/test_serve.py::test_nothing_is_left_after_a_signal"),
    r"--parquet": ("needs pyarrow", "unit/test_report_series.py::test_parquet_has_the_lines_of_the_csv"),
    r"--kernel host": ("needs another kernel", "recorder/test_record.py::test_programs_run_where_the_command_is_given"),
    r"--kernel vm": ("needs a virtual machine", "vm/test_connections.py::test_the_demonstration"),
    r"--kernel lab:": ("needs another kernel", "unit/test_matrix.py::test_kernels_are_named_as_one_thinks_of_them"),
}
#: Not commands of this project, or the name of a verb in a sentence.
OTHERS = re.compile(
    r"^(vagrant|pip|sudo|Linux|pytest|python3|cd|dask|make|tests/browser/setup|\.venv/bin/python)\b|…|"
    r"^handshake (record|run|show|explore|bundle|report|cache|scenarios (run|mutate)|kernel import)"
    r"( --json| --system)?$"
)
COURSE = """
from mininet.topo import Topo
class Lab(Topo):
    def build(self, n=2):
        for number in range(1, n + 1):
            self.addLink(self.addHost(f"h{number}"), "s1" if number > 1 else self.addSwitch("s1"))
topos = {"lab": Lab}
"""
SCRIPT = """
from mininet.net import Mininet
from mininet.topo import SingleSwitchTopo
net = Mininet(topo=SingleSwitchTopo(2), controller=None)
net.start()
print(net.get("h1").cmd("ip addr"))
net.stop()
"""


def verbs(at: click.Command) -> Iterator[click.Command]:
    """A command and all below it."""
    yield at
    if isinstance(at, click.Group):
        context = click.Context(at)
        for name in at.list_commands(context):
            found = at.get_command(context, name)
            assert found is not None
            yield from verbs(found)


def examples() -> Iterator[str]:
    """The commands of help texts and pages."""
    for verb in verbs(command):
        for block in re.findall(r"(?:Examples|First steps):\n((?:[ ]+\S.*\n?)+)", verb.help or ""):
            yield from block.replace("\\\n", " ").splitlines()
    for page in PAGES:
        text = page.read_text()
        if is_session(text):
            continue
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL):
            yield from block.replace("\\\n", " ").splitlines()
        yield from re.findall(r"`((?:\./)?handshake [^`\n]+)`", text)


def cleaned(line: str) -> str:
    """A command without its prompt, its comment and the explanation that follows it in a list."""
    line = (
        re.sub(r"^\$ ", "", line.strip())
        .replace("./handshake", "handshake")
        .replace("\\|", "|")
        .replace("DIR", "my-run")
    )
    return re.split(r"\s+# |\s{2,}(?=[a-z])", line)[0].strip() if "--client" not in line else line


def run_in_sessions() -> set[str]:
    """The commands that test_sessions.py runs."""
    pages = [text for page in PAGES if is_session(text := page.read_text("utf-8"))]
    found = [block for text in pages for block in blocks(text) if block.language == "bash"]
    return {cleaned(line) for block in found for line in block.text.replace("\\\n", " ").splitlines()}


COMMANDS = sorted({cleaned(line) for line in examples()} - {""} - run_in_sessions())
KNOWN = [each for each in COMMANDS if not OTHERS.search(each)]


def why_long(text: str) -> str:
    """Why a command is parsed only; empty if it is run."""
    if re.search(r"\bping\b", text) and shutil.which("ping") is None:
        return "needs ping"
    return next((reason for pattern, (reason, _) in LONG.items() if re.search(pattern, text)), "")


@pytest.mark.parametrize("pattern", LONG)
def test_what_is_parsed_only_is_run_elsewhere(pattern: str) -> None:
    """There is such a command, and the test or fixture that runs the same exists."""
    file, name = LONG[pattern][1].split("::")
    tree = ast.parse((ROOT / "tests" / file).read_text())

    assert any(re.search(pattern, text) for text in KNOWN)
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the examples find what they need: runs, topologies and scripts."""
    directory = tmp_path_factory.mktemp("examples")
    home = directory / "work"
    home.mkdir()
    (home / ".config" / "fish" / "completions").mkdir(parents=True)
    (home / "course.py").write_text(COURSE)
    (home / "commands.txt").write_text("py server = h2.listen(80)\npy client = h1.connect(server)\nstep\nladder\n")
    for name in ("two_hosts.py", "bufferbloat.py"):
        (home / name).write_text(SCRIPT)
    run = in_shell("handshake demo --out my-run && handshake demo --out runs/1", home)
    assert run.returncode == 0, run.stderr
    return home


def in_shell(text: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a shell does, in a home directory, with this user's kernels."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return shell(text, home, {"HOME": str(home), "XDG_CACHE_HOME": cache, **environment})


@pytest.mark.parametrize("text", [each for each in KNOWN if not why_long(each)])
def test_runs(kept: Path, tmp_path: Path, text: str) -> None:
    """In a shell, in a directory with what it reads."""
    work = tmp_path / "home" / "work"
    shutil.copytree(kept, work, ignore=shutil.ignore_patterns("my-run") if "--out my-run" in text else None)
    if "--out runs/1" in text:
        shutil.rmtree(work / "runs")
    done = in_shell(text if shutil.which("jq") else re.sub(r"\| jq .*", "> /dev/null", text), work)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "Traceback" not in done.stderr


def simple_commands(text: str) -> Iterator[list[str]]:
    """The commands of a line, without redirections."""
    words: list[str] = []
    reader = shlex.shlex(text, posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    for word in [*reader, "|"]:
        if word in ("|", "&&", ">", ">>"):
            yield words
            words = []
        else:
            words.append(word)


@pytest.mark.parametrize("text", [each for each in KNOWN if why_long(each)])
def test_is_understood(text: str) -> None:
    """Verb, options and the forms of their values exist."""
    for words in simple_commands(text):
        if words[:1] != ["handshake"]:
            continue
        context = click.Context(command, info_name="handshake")
        at: click.Command = command
        words.pop(0)
        while isinstance(at, click.Group) and words:
            found = at.get_command(context, words.pop(0))
            assert found is not None, text
            at, context = found, click.Context(found, parent=context)
        if not isinstance(at, click.Group):
            at.make_context(at.name, words, parent=context.parent)


def test_there_are_examples() -> None:
    """The collection finds what is there, and little is left out."""
    assert len(KNOWN) > 80
    assert sum(not why_long(each) for each in KNOWN) > 45
    assert {"handshake demo --topology routed", "handshake topology check ./course.py"} <= set(KNOWN)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_mark_of_the_formatter_is_printed(width: int) -> None:
    """Neither a backspace nor its escape, whatever the width."""
    for verb in verbs(command):
        text = verb.get_help(click.Context(verb, info_name=verb.name, terminal_width=width, max_content_width=width))
        assert "\b" not in text
        assert "\\b" not in text


def test_run_it_again(kept: Path, tmp_path: Path) -> None:
    """The line can be pasted where the program was called by a path, and gives the same."""
    path = str(write_program(tmp_path))
    first = in_shell(f"{path} demo --plain --delay 30ms --fault 'drop #2'", kept, HANDSHAKE_CALLED_AS=path)
    again = re.search(rf"Run again:\s({re.escape(path)}\sdemo.*(?:\n\S.*)*)", first.stdout)
    assert again is not None, first.stdout
    second = in_shell(f"{again[1].replace(chr(10), ' ')} --plain", kept, HANDSHAKE_CALLED_AS=path)

    assert second.stdout == first.stdout


def test_commands_as_they_were_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout, ./handshake; elsewhere, as they are."""
    from handshake_lab.report.text.as_typed import as_typed, replay_as_typed

    assert as_typed("handshake demo && handshake show x") == "handshake demo && handshake show x"
    monkeypatch.setenv("HANDSHAKE_CALLED_AS", "./handshake")
    assert as_typed("handshake demo && handshake show x") == "./handshake demo && ./handshake show x"
    assert (
        as_typed("cd handshake-lab && ./handshake test; the handshake is done")
        == ("cd handshake-lab && ./handshake test; the ./handshake is done")
        or "the handshake is done"
    )
    assert replay_as_typed("pytest tests/a.py::test_b") == "./handshake test --no-checks tests/a.py::test_b"
