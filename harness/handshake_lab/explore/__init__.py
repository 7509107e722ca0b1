"""Searches what a network can do to a test or to programs, and finds the schedules of faults that break them."""
