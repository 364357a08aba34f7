"""Features: representations of recordings, and the labelled examples of an experiment."""
