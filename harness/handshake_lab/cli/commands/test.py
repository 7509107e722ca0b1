"""handshake test: the checks and tests of this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

from handshake_lab.checkout.pytest_run import one_boot, run_pytest
from handshake_lab.checkout.root import REPOSITORY
from handshake_lab.cli import options
from handshake_lab.errors import UsageError
from handshake_lab.kernel.choose import choose_kernel
from handshake_lab.pytest_plugin.options.command_line import prefixed
from handshake_lab.pytest_plugin.results.kept_records import DEFAULT_ARTIFACTS

#: Run before the tests: they are quick, and their findings explain many failures.
_CHECKS = (
    ("ruff check", ["-m", "ruff", "check", "--quiet"]),
    ("ruff format", ["-m", "ruff", "format", "--check", "--quiet"]),
    ("lint-imports", ["-c", "from importlinter.cli import lint_imports_command as run; run(['--no-logo'])"]),
    ("mypy --strict", ["-m", "mypy", "--no-error-summary"]),
    ("mypy tests", ["-m", "mypy", "--no-error-summary", "--config-file", "tests/mypy.ini"]),
)

#: All tests, on all processors.
_ALL = ("-n", "auto")
#: A worker gets whole files, because each collects its files in a kernel; an idle one takes tests from a busy one.
_DISTRIBUTION = ("--dist", "worksteal")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--checks/--no-checks", default=True, show_default=True, help="Run the lint, format and type checks first."
)
@options.kernel
@one_boot
@click.option(
    "--artifacts",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep the record of every test in this directory.",
)
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    pytest_arguments: tuple[str, ...], kernel_name: str, artifacts: Path | None, *, checks: bool, boot_once: bool
) -> int:
    """Run the checks and the tests of this checkout. Other arguments are passed to pytest.

    The options of the pytest plugin can be written without their prefix: --slow for --handshake-slow, and so on
    with --seed, --seeds, --link, --lang, --mutate, --wall-limit and --edge-coverage.

    \b
    Examples:
      handshake test
      handshake test -k time_wait -x
      handshake test --no-checks tests/unit
      handshake test --no-checks --kernel vm --boot-once --slow -n 4 tests/scenarios
    """
    if not (REPOSITORY / "tests").is_dir():
        raise UsageError(
            "test", str(REPOSITORY), "is not a checkout of Handshake Lab", "cd handshake-lab && ./handshake test"
        )
    choose_kernel(kernel_name, seed=1)  # built now, with its progress shown, not inside the first test
    failed = [name for name, words in _CHECKS if checks and not _check(name, words)]
    words = list(pytest_arguments or _ALL)
    if _parallel(words):
        words = [*_DISTRIBUTION, *words]
    words += ["--artifacts", str(artifacts.resolve())] if artifacts else []
    words = list(map(prefixed, words))
    writable = (artifacts or REPOSITORY / DEFAULT_ARTIFACTS).resolve() if boot_once else None
    status = run_pytest(words, REPOSITORY, kernel_name, writable=writable)
    if failed:
        click.echo(f"handshake: these checks failed: {', '.join(failed)} (see above)", err=True)
    return status or int(bool(failed))


def _parallel(words: list[str]) -> bool:
    """Whether pytest's arguments ask for several workers, and leave their tests' distribution open."""
    return any(word.startswith(("-n", "--numprocesses")) for word in words) and not any(
        word.startswith(("--dist", "-d")) for word in words
    )


def _check(name: str, words: list[str]) -> bool:
    """Run a check; print what it printed only if it fails."""
    click.echo(f"{name} ...", err=True)
    done = subprocess.run([sys.executable, *words], cwd=REPOSITORY, check=False, stdout=subprocess.PIPE)
    if done.returncode != 0:
        click.echo(done.stdout)
    return done.returncode == 0
