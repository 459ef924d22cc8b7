"""Widgets: draw what they are given, post messages."""
