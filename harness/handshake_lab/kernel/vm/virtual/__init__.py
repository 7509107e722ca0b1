"""Stock kernels in virtual time: a machine that counts instructions, restored from a template for each job."""
