"""Building the lab kernel from a distribution's source package."""
