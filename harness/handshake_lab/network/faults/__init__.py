"""Faults in force: which segments they take, what they do, and how often they did."""
