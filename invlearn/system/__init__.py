"""The operating system: files, streams, signals and processes, and how runs survive their failures."""
