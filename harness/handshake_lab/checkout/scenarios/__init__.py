"""The scenarios of tests/scenarios: their list, their outcomes, several kernels side by side."""
