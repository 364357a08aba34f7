"""Drift: whether recent recordings are still like those that a model learned from."""
