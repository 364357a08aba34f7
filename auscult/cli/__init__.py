"""The command line ``auscult``: one file per group of commands; it parses arguments and prints."""
