"""Checks whether this machine has what each kind of kernel needs.

One file for each kind. Each feature is tested by using it. Tests that change the network run in
temporary namespaces, in a child process, so that nothing is left behind.
"""
