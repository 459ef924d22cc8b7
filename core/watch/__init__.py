"""Readings of the machine: GPUs and the host."""
