"""Training, in memory: from a config to an encoder and its history."""
