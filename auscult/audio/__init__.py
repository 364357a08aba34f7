"""Decoding, checks, resampling, filtering and fingerprints of audio, and the cache of computed arrays."""
