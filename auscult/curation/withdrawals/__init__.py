"""Withdraw a patient from a data set, and purge what older versions, caches, remotes and MLflow hold of them."""
