"""What the user asked for: command line, markers, variants of a test."""
