"""Check recordings and labels, reject broken ones, and build the manifest."""
