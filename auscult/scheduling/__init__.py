"""Prefect on one machine: server, worker and deployments, kept alive and tidied up after a kill."""
