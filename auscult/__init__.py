"""Classify respiratory sounds: from chest recordings to a calibrated, compared and monitored classifier.

Each folder holds one topic and imports from lower folders only: see ``docs/architecture.md``.
"""
