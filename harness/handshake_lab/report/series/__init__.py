"""Time series of connections: what plots draw, in pages, as SVG and as CSV."""
