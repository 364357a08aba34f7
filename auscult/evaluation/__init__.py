"""Evaluate a trained model: metrics, patient bootstrap, baselines, subgroups and plots."""
