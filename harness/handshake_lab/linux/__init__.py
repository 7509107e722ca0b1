"""Raw kernel interfaces: namespaces, packet sockets, netlink, nftables. No values of this project."""
