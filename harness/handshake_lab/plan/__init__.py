"""The request for a run as parsed and checked values: links, faults, topologies, programs. Pure."""
