"""Prefect on one machine: server, worker and deployments, kept running, and cleaned up after a kill."""
