"""The promotion gate: run two registered models on the same test units, compare them by patient, apply a fixed rule."""
