"""Lab kernels that are fetched instead of built: archives to copy, and a wheel to install with pip."""
