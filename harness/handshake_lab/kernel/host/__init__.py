"""This machine's own kernel, in private namespaces, in real time."""
