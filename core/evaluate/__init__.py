"""Metrics: how good, safe and secure a trial is."""
