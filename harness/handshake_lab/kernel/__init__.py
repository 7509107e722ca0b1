"""Where a run happens: a kernel is built, kept and booted here."""
