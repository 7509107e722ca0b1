"""The emulated network: Mininet topologies, links whose settings are verified, faults on the n-th segment."""
