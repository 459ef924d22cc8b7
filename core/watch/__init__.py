"""Reads the machine: GPUs, host, libraries, and whether it is ready for a study."""
