"""Readers that data sets share: file layouts, annotation files and tables."""
