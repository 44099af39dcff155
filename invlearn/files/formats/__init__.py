"""File formats, one module each, with a ``FORMAT``; they are discovered automatically."""
