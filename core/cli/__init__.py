"""The verbs: what `trimtab VERB` does without a screen."""
