"""The pytest plugin: each test that requests the fixture ``net`` runs in a separate kernel.

pytest loads `hooks` (entry point ``pytest11``). `fixtures` contains the fixtures of tests, `options` the options, the
markers and the variants of tests. `dispatch` runs a test in a kernel: the controller, in the session that the user
started, serialises the test; a worker runs it in the kernel; the controller replays the worker's reports. `results`
keeps the records of tests and summarises a session.
"""
