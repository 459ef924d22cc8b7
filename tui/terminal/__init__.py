"""The terminal: what it can do, and how the console writes to it with as few bytes as it can."""
