"""Search spaces: encodings, validation, names, sampling, mutation."""
