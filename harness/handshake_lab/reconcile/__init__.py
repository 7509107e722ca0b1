"""Makes one history per endpoint from observations. Pure functions of values."""
