"""Trace which data made which model."""
