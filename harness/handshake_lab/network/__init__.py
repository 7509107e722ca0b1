"""Mininet made honest: topologies built fast, links that are verified, faults on the n-th segment."""
