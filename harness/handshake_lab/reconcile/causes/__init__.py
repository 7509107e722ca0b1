"""Why each transition was made: a segment, a system call or a timer."""
