"""Drift: whether recent recordings still resemble those that a model learned from."""
