"""One recorded run: a network, a recorder, and what is done on it.

`execute` has a kernel carry out a plan; `recorded_run` does it there; `net` is what its script works with.
"""
