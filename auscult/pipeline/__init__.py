"""``make repro``: the pipeline for a person at the terminal."""
