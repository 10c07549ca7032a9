"""File formats: what is read, strictly, before a benchmark makes a table of it."""
