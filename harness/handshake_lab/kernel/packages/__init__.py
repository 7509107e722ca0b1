"""A distribution's packages: where archives are, how to download one, how releases are ordered."""
