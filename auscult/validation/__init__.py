"""Check recordings and labels, set aside what is broken, and build the manifest."""
