"""A made-up clinic: patients, their breath sounds, and the faults that real collections have.

``population`` decides who is recorded with what; ``chest`` renders one recording from
the sounds in ``acoustics``, the responses in ``colouring`` and the ``recorder``; ``faults`` breaks seven
more; ``writer`` lays everything out as ICBHI does.
"""
