"""What the documents define: states, segments, the state diagram, timers. Pure."""
