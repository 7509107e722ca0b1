"""Running unmodified Mininet scripts with the stock Mininet, and recording them (docs/how-to/mininet-scripts.md).

`run_script` runs a script on a kernel; `recorded_script` is the part in the kernel, which runs the script in a separate
process beside the recorder. `script_process` is the first code of that process; both communicate over `channel`.
"""
