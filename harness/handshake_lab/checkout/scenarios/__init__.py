"""The scenarios of ``tests/scenarios``: their catalogue, their outcomes, several kernels side by side."""
