"""What becomes of a run's results: pushed, proposed, promoted, in that order; and what a kill left of it."""
