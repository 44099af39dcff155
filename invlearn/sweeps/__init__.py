"""Sweeps: plan many runs, and start those that are unfinished."""
