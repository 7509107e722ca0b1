"""What needs a checkout of the repository: its scenarios, its claims, its own tests."""
