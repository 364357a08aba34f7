"""Train a model: search, training loop, calibration, and the trained model on disk."""
