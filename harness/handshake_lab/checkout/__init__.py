"""Parts that need a checkout of the repository: its scenarios, its claims, its own tests."""
