"""What the user requests: options, ini keys, markers, variants of tests."""
