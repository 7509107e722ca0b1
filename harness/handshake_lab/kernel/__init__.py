"""The kernels that runs take place on: building, caching and booting them."""
