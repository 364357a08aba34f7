"""Publish the results of a run (data, branch, pull request, promotions, in this order), and recover after a kill."""
