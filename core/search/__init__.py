"""The search: spaces, samplers and pruners; the only package that uses Optuna."""
