"""Retrieval of data sets: sources, downloads, zip files, and removal of withdrawn patients."""
