"""RFC 9293's state diagram as data: its edges, those that Linux adds, and the paths between states."""
