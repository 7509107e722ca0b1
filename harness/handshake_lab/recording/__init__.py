"""A recorded run as values: its observations, its history, and their files. Pure."""
