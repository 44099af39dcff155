"""Runs on disk: the run directory, its record, loading, and tables of many runs."""
