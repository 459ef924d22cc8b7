"""The command line of the console: `:` and what is typed after it."""
