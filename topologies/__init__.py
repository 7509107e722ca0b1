"""Topologies: plain Mininet ``Topo`` classes, one file each, also for stock ``mn --custom``."""
