"""Checks whether this machine has what each kind of kernel needs.

One file for each kind. Features are tried, not guessed. What changes the network is tried in
temporary namespaces, in a child process, so that nothing is left.
"""
