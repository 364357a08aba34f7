"""Data sets over time: additions, differences, lineage and withdrawals."""
