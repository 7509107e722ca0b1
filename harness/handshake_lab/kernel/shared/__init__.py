"""What all kinds of kernel have in common: jobs, supervision, the cache."""
