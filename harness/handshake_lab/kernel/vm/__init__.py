"""Stock kernels: a distribution's own, booted in a virtual machine for one job."""
