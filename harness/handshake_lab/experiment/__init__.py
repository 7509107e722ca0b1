"""One recorded run: a network, a recorder, and a script that uses the network.

`execute` starts a kernel for a plan; `recorded_run` executes the plan in the kernel; `net` is the interface of scripts.
"""
