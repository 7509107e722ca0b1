"""Reports as SVG: the ladder and the state diagram."""
