"""What this machine has and lacks for each kernel kind: tried out, not guessed.

One file for each kind. Whatever touches the network is tried in throwaway
namespaces, in a child process: nothing of it is left behind.
"""
