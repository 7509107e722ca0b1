"""The results of a session: records of tests, a summary, pages."""
