"""What became of the tests: kept records, the summary, pages."""
