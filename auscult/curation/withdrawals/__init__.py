"""A patient who withdraws: who has learned from them, which versions hold them, and what is left to clear."""
