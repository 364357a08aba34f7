"""Which model serves, and who changed it."""
