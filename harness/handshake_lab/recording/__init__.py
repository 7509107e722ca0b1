"""A recorded run as values: what was observed, what happened, and the files that hold it. Pure."""
