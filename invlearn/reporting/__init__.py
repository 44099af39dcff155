"""The report of a run: one page that opens anywhere, made of sections that are a module each."""
