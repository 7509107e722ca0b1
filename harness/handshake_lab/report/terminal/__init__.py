"""Reports in the terminal: ladder, tables, the live view."""
