"""Distributing built lab kernels: archives to copy, and a wheel to install with pip."""
