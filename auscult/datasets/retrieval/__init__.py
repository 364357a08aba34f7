"""Retrieve a data set: address, download, unpack, or copy from the user, without withdrawn patients."""
