"""What is wanted, parsed once: links, faults, topologies and the run as a whole. Pure."""
