"""A test's way into a kernel and its report's way back."""
