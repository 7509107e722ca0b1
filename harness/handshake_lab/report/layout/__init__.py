"""A ladder before it is drawn: connections, lines, labels, order."""
