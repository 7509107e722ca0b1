"""The states of one socket, in order, with the evidence for each."""
