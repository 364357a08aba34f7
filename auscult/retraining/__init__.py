"""Steps of a retraining and of an ingestion, without Prefect."""
