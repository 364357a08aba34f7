"""Generator of the sample data set: patients, their breath sounds, and typical faults of real collections.

``population`` plans the patients and recordings; ``renderer`` renders a recording from the sounds in ``acoustics`` and
the transfer functions and noise in ``recording_chain``; ``faults`` adds seven broken recordings; ``files`` writes
ICBHI's file formats; ``generator`` runs all of it.
"""
