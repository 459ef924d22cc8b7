"""Memory: what training needs, what fits, and corrections learned from measurements; no torch."""
