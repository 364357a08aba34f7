"""MLflow: recorded runs, registered model versions, promotion and rollback."""
