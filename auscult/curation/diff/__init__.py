"""Compare two versions of a data set."""
