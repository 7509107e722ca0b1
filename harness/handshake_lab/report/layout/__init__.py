"""The layout of a ladder, before it is drawn: connections, order, lines, labels."""
