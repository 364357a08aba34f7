"""The report of one data set: results, data, limits and examples."""
