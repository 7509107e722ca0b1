"""Reports for other programs: pcapng, JSON."""
