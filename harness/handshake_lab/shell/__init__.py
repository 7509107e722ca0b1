"""The shell: a live network whose clock stands while one thinks (docs/how-to/shell.md)."""
