"""Expected values for tests: time windows of timers, segments sent, states entered. Pure."""
