"""What a session leaves: records of tests, a summary, pages."""
