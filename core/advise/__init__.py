"""What to begin a study with: published practice applied to a model, its data and a device."""
