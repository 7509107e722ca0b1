"""Which observations belong to the same socket."""
