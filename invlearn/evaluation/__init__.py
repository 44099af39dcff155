"""Measuring an encoder on held-out data."""
