"""Scores: how good a trial is."""
