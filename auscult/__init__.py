"""Classify respiratory sounds: from chest recordings to a calibrated, compared and monitored classifier.

Rooms, lowest first: ``core``, ``audio``, ``datasets``, ``validation``, ``splitting``, ``features``, ``models``,
``training``, ``evaluation``, ``inference``, ``reporting``, ``versioning``, ``registry``, ``publishing``, ``curation``,
``pipeline``, ``comparison``, ``monitoring``, ``retraining``, ``scheduling``, ``cli``. A room imports from lower rooms only.
"""
