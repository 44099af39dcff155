"""Speed of invlearn compared with common alternatives."""
