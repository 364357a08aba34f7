"""The data card of a version of a data set, and the digests that identify the version."""
