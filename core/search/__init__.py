"""The search: spaces, samplers and pruners; all Optuna lives here."""
