"""Assign patients to training, validation and test, and fail on a leak."""
