"""Recompute the figures of a report from the stored predictions, with none of the code that wrote them.

The reading of the definitions is this folder's own, on scikit-learn where it has the metric; it imports
:mod:`auscult.core` only.
"""
