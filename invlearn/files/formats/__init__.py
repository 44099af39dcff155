"""Formats of files, one module each, with a ``FORMAT``; they are found by themselves."""
