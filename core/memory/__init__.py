"""Memory: what a step will need, what fits, and what was learnt from what was measured; no torch."""
