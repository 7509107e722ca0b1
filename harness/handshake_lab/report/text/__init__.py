"""Texts for every medium: translations, units of time, escaping, terminal width."""
