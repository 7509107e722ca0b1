"""Searches for schedules of faults that break a test or programs."""
