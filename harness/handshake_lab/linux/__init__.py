"""Raw kernel interfaces: namespaces, packet sockets, netlink, nftables. They use no types of this project."""
