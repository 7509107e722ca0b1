"""What the documents say: states, segments, the diagram, timers. Pure."""
