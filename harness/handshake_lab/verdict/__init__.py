"""A record held against RFC 9293: is each step an edge of the diagram, and why was anything sent again? Pure."""
