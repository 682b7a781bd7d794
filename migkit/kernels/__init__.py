"""Numba kernels: scalars and 1-D arrays in and out, no objects, no files, no units text."""
