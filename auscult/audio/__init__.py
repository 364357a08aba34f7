"""Audio files: containers, decoding, checks, fingerprints, resampling, filtering, and the resampled data set."""
