"""The pipeline: one folder per DVC stage, in the order a recording walks through them."""
