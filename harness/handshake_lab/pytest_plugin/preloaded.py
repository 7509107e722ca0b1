"""The modules that every test needs in a kernel: imported once before the kernel is parked, and inherited by its forks.

Modules of the tested project are not among them: each test file imports those.
"""

from __future__ import annotations

import importlib

from _pytest.config import default_plugins

from handshake_lab.expect import timer_windows
from handshake_lab.experiment import recorded_run, scheduling_latency
from handshake_lab.plan import run_plan
from handshake_lab.pytest_plugin import fixtures, hooks, mutations
from handshake_lab.pytest_plugin.dispatch import worker
from handshake_lab.pytest_plugin.options import variants
from handshake_lab.topologies import pair
from handshake_lab.verdict import judge

__all__ = [
    "fixtures",
    "hooks",
    "judge",
    "mutations",
    "pair",
    "recorded_run",
    "run_plan",
    "scheduling_latency",
    "timer_windows",
    "variants",
    "worker",
]

for _name in default_plugins:
    importlib.import_module(f"_pytest.{_name}")
