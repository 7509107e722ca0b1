"""Serialising a test for a worker: pytest's arguments, options, plugins, import path and environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handshake_lab.experiment.user_environment import user_environment
from handshake_lab.pytest_plugin.options.command_line import INSIDE, language

if TYPE_CHECKING:
    import pytest

#: Plugins for the controller only, by the names of their entry points: they start workers, change the order of tests,
#: rerun tests, limit their wall time, or write reports.
_CONTROLLER_PLUGINS = frozenset(
    {
        "xdist", "xdist.looponfail", "pytest_cov", "html", "json-report", "pytest_jsonreport", "metadata", "sugar",
        "instafail", "randomly", "random_order", "rerunfailures", "flaky", "timeout", "hypothesispytest", "handshake",
    }
)  # fmt: skip

#: Options for the controller only: they select tests, end the session, or write files.
_CONTROLLER_OPTIONS = frozenset(
    {
        "file_or_dir", "keyword", "markexpr", "maxfail", "lf", "failedfirst", "newfirst", "last_failed_no_failures",
        "stepwise", "stepwise_skip", "stepwise_reset", "usepdb", "trace", "xmlpath", "deselect", "ignore",
        "ignore_glob", "inifilename", "rootdir", "override_ini", "plugins", "pyargs", "confcutdir", "basetemp",
        "capture", "log_file", "cacheshow", "cacheclear", "collectonly", "pastebin", "pythonwarnings", "strict_config",
        "assertmode", "importmode", "handshake_json", "handshake_edge_coverage_svg",
    }
)  # fmt: skip

#: Variables that have a meaning in the controller only, or would make a run depend on this machine.
_CONTROLLER_VARIABLES = frozenset(
    {
        "HOME", "TMPDIR", "TEMP", "TMP", "PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES", "PYTEST_ADDOPTS",
        "USER", "LOGNAME", "MAIL", "HOSTNAME", "TERM", "LANG", "LANGUAGE", "TZ", "DISPLAY", "LS_COLORS",
    }
)  # fmt: skip
_CONTROLLER_VARIABLE_PREFIXES = (
    "LD_", "XDG_", "SSH_", "DBUS_", "COV_", "COVERAGE_", "PYTEST_CURRENT", "PYTHON", "LC_", "SUDO_",
)  # fmt: skip

#: The worker's pytest cache, in memory.
_CACHE = "/run/pytest-cache"
#: The worker's temporary directories; /tmp may have links to this machine's files.
_TEMPORARY = "/run/pytest"


def arguments(item: pytest.Item) -> list[str]:
    """The command line of the worker's pytest, which collects the test's file."""
    config = item.config
    option = config.option
    words = [str(item.path), f"--rootdir={config.rootpath}"]
    words += [f"--import-mode={option.importmode}", f"--assert={option.assertmode}"]
    words += [f"--basetemp={_TEMPORARY}"]
    if config.inipath:
        words += ["-c", str(config.inipath)]
    if option.confcutdir:
        words += [f"--confcutdir={option.confcutdir}"]
    settings = [*(option.override_ini or ()), "addopts=", "required_plugins=", "strict_config=false", "log_file="]
    for setting in (*settings, f"cache_dir={_CACHE}"):
        words += ["-o", setting]
    # The controller has shown the warnings about the configuration.
    for warning in (*(option.pythonwarnings or ()), "ignore::pytest.PytestConfigWarning"):
        words += ["-W", warning]
    words += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    for name in (*(option.plugins or ()), "no:terminal"):
        if name.removeprefix("no:") not in _CONTROLLER_PLUGINS:
            words += ["-p", name]
    return words


def options(config: pytest.Config) -> dict[str, Any]:
    """The values of the controller's options that are also used in a worker."""
    language(config)
    return {
        name: value
        for name, value in vars(config.option).items()
        if name not in _CONTROLLER_OPTIONS and isinstance(value, str | int | float | bool | list | type(None))
    }


def plugins(config: pytest.Config) -> list[str]:
    """The active installed plugins, as ``module`` or ``module:attribute``.

    The worker imports them by these names. It does not search for them, because it would have to read the metadata of
    every installed package through the kernel's file system.
    """
    found = []
    for _, distribution in config.pluginmanager.list_plugin_distinfo():
        for point in distribution.entry_points:
            wanted = point.group == "pytest11" and point.name not in _CONTROLLER_PLUGINS
            if wanted and config.pluginmanager.has_plugin(point.name) and point.value not in found:
                found.append(point.value)
    return found


def environment() -> dict[str, str]:
    """The controller's environment variables that have a meaning in a worker."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _CONTROLLER_VARIABLES and not name.startswith(_CONTROLLER_VARIABLE_PREFIXES)
    }
    return {
        **kept,
        **user_environment(),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        INSIDE: "1",
    }


def readable(item: pytest.Item) -> tuple[Path, ...]:
    """The directories of the host that must be readable in the kernel."""
    imported = [Path(entry) for entry in sys.path if entry and Path(entry).is_dir()]
    found = [item.config.rootpath, Path.cwd(), item.path.parent, *imported]
    if item.config.inipath:
        found.append(item.config.inipath.parent)
    return tuple(dict.fromkeys(path.resolve() for path in found))
