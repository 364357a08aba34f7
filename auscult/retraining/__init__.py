"""The steps of a retraining and of an ingestion, without Prefect; ``flows/`` orders them."""
