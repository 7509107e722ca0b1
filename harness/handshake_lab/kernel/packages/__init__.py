"""A distribution's packages: which archives there are, how to download from them, how releases are ordered."""
