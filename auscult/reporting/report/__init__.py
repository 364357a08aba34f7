"""Write the report of one data set: results, data, examples and limits."""
