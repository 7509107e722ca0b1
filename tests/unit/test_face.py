"""The package's face: what `import handshake_lab` exports is what is documented, typed, and what users are shown."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import handshake_lab
import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = Path(handshake_lab.__file__).parent
#: Files that show users how the package is used.
SHOWN = [
    *(REPOSITORY / "examples").rglob("*.py"),
    *(REPOSITORY / "tests" / "scenarios").glob("test_*.py"),
    *REPOSITORY.glob("README*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
]


def test_exported_is_what_is_documented() -> None:
    """The reference has a row with a description for each name, and for nothing else."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\S.*) \|$", (REPOSITORY / "docs" / "reference" / "python.md").read_text("utf-8"), re.MULTILINE
    )

    assert sorted(name for name, _ in rows) == handshake_lab.__all__


@pytest.mark.parametrize("name", handshake_lab.__all__)
def test_every_name_resolves(name: str) -> None:
    """Each is what its module calls so, and has a docstring of its own."""
    found = getattr(handshake_lab, name)

    assert found is getattr(handshake_lab, name)
    assert name == "Observation" or found.__doc__
    assert name in dir(handshake_lab)


def test_other_names_do_not() -> None:
    """As for any module."""
    with pytest.raises(AttributeError, match="module 'handshake_lab' has no attribute 'recorder'"):
        handshake_lab.recorder  # type: ignore[attr-defined]  # noqa: B018


def test_importing_it_costs_nothing() -> None:
    """Pytest imports it in every project: it loads no other module of its own, and no dependency."""
    program = "import sys, handshake_lab; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert [name for name in loaded if name.startswith(("handshake_lab", "msgspec", "click", "mininet"))] == [
        "handshake_lab"
    ]


def test_it_is_typed(tmp_path: Path) -> None:
    """A type checker sees through the lazy loading."""
    program = tmp_path / "program.py"
    program.write_text(
        "import handshake_lab as hl\n"
        "from handshake_lab import Net, approx_timer\n\n"
        "def use(net: Net) -> None:\n"
        "    run = hl.record(clients=['true'])\n"
        "    reveal_type(run.record)\n"
        "    reveal_type(hl.judge(run.record).ok)\n"
        "    reveal_type(hl.ladder)\n"
        "    reveal_type(net.drop('SYN', nth=1, from_='h1'))\n"
        "    reveal_type(net.h1.wait_for('LISTEN'))\n"
        "    reveal_type(net.get('h1', 'h2'))\n"
        "    reveal_type(approx_timer(1.0))\n"
        "    net.drop('SYN', nht=1)\n"
        "    hl.recorder\n"
    )
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-incremental", str(program)]
    words += ["--config-file", ""]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"MYPYPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"},
    )
    found = "\n".join(re.sub(r"\bhandshake_lab(\.\w+)+\.", "", line) for line in done.stdout.splitlines())

    for line, kind in {6: "Record", 7: "bool", 9: "ActiveFault", 10: "list[SocketSnapshot]", 12: "TimeWindow"}.items():
        assert f'program.py:{line}: note: Revealed type is "{kind}"' in found
    assert 'program.py:11: note: Revealed type is "list[Host]"' in found
    assert 'program.py:13: error: Unexpected keyword argument "nht" for "drop"' in found
    assert 'program.py:14: error: Module has no attribute "recorder"' in found


def test_all_of_it_is_typed() -> None:
    """As tests/typed/public_api.py states for every name, and as a user's strict type checker sees it."""
    file = REPOSITORY / "tests/typed/public_api.py"
    words = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file", "", str(file)]
    words += ["--cache-dir", ".mypy_cache/public_api"]
    environment = {"MYPYPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment)
    assert (done.stdout, done.returncode) == ("", 0)
    used = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert sorted(set(handshake_lab.__all__) - used) == []


@pytest.mark.parametrize("kind", [handshake_lab.Net, handshake_lab.Host, handshake_lab.Link, handshake_lab.ActiveFault])
def test_the_fixture_is_documented(kind: type) -> None:
    """docs/reference/net.md names every public method and attribute, and each has a docstring."""
    names = [name for each in kind.__mro__[:-1] for name in vars(each) if not name.startswith("_")]
    page = (REPOSITORY / "docs" / "reference" / "net.md").read_text("utf-8")

    assert [name for name in names if not re.search(rf"\b{name}\b", page)] == []
    assert [name for name in names if callable(getattr(kind, name)) and not getattr(kind, name).__doc__] == []


def imported(path: Path) -> set[str]:
    """The modules of this package that a file imports, in Markdown those of its Python examples."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        text = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    modules = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules |= {each.name for each in node.names}
    return {name for name in modules if name.startswith("handshake_lab")}


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_what_users_are_shown_uses_the_face(path: Path) -> None:
    """Examples contain no private names."""
    assert imported(path) <= {"handshake_lab", "handshake_lab.errors"}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_inside_uses_the_face(path: Path) -> None:
    """It would load what it does not need, and could import itself."""
    if "topologies" not in path.parts:
        assert "handshake_lab" not in imported(path)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names of the files of a wheel that is built from this checkout."""
    pytest.importorskip("setuptools", reason="a wheel is built with setuptools")
    where = tmp_path_factory.mktemp("wheel")
    # From a copy: setuptools writes beside the sources.
    source = where / "source"
    for each in ("harness", "topologies"):
        subprocess.run(["cp", "-r", str(REPOSITORY / each), str(where)], check=True)
    source.mkdir()
    for each in ("harness", "topologies"):
        (where / each).rename(source / each)
    for each in ("pyproject.toml", "README.md", "LICENSE"):
        (source / each).write_bytes((REPOSITORY / each).read_bytes())
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "."]
    subprocess.run([*words, "--wheel-dir", str(where)], cwd=source, check=True, capture_output=True)
    (built,) = where.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return archive.namelist()


def test_the_wheel_installs_one_name(wheel: list[str]) -> None:
    """Nothing but the package, and what pip needs to know of it."""
    assert {re.sub(r"-.*", "", name.partition("/")[0]) for name in wheel} == {"handshake_lab"}


def test_the_wheel_is_whole(wheel: list[str]) -> None:
    """Every module, the topologies as files, and the data that modules read."""
    wanted = {
        str(path.relative_to(PACKAGE.parent))
        for folder in (PACKAGE, PACKAGE / "topologies")
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".pyc", ".md") and "__pycache__" not in path.parts
    }

    assert wanted - set(wheel) == set()
    assert "handshake_lab/topologies/pair.py" in wheel
