"""All keys of the console: each declared once."""
