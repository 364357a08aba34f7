"""The comment on a pull request. Standard library only: it runs with the runner's bare Python and a token to write."""
