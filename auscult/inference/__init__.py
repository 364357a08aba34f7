"""Predict labels for an audio file with a trained model."""
