"""Real data: invlearn compared with common alternatives."""
