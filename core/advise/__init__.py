"""Recommends a first study file: published practice applied to a model, its data and a device."""
