"""Experiments that are made of other trained models: an ensemble, or a model of segments slid along recordings."""
