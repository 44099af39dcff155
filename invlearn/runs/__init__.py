"""Runs on disk: the run directory, its record, loading it, the table of many."""
