"""Name a version of a data set by the digests of its content, and describe it: the data card, which git keeps."""
