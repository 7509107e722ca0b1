"""Mininet scripts, run unmodified with the stock Mininet, and recorded (docs/run.md).

`run_script` has a kernel carry one out; `recorded_script` does it there: it runs the script as a process of its own,
beside the recorder. `script_process` is what that process begins with; the two talk over `door`.
"""
