"""Sweeps: what is left to do of many runs, and starting it."""
