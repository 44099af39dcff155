"""What the machine does to us: files, streams and signals that fail, and how work survives it."""
