"""Running a test in a kernel: the controller serialises it, a worker runs it, its reports are replayed."""
