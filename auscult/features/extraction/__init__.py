"""Extract features: spectrograms, segments, windows and augmented copies."""
