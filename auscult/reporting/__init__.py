"""Write the report, the data card and the validation page, from one set of templates."""
