"""Joins observations into one history per endpoint. Pure functions of values."""
