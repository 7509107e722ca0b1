"""The netlink protocols: links, addresses, routes, queueing disciplines, socket diagnostics."""
