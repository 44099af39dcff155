"""The report of a run: one page that opens anywhere, with one module per section."""
