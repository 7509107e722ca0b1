"""Matches the captures at both ends: which segments were sent, which arrived and which were lost."""
