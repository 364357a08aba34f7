"""What a data engineer does with the data sets: compare versions, add, withdraw, trace."""
