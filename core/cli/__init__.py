"""The commands that `trimtab VERB` runs without the console."""
