"""Faults of every kind, injected: nothing is lost, nothing is wrong without a word, nobody is let in."""
