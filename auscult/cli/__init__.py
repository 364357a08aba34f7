"""The command line ``auscult``: one file per group of commands; each parses arguments, calls the library, prints."""
