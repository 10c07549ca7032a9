"""A run: its folder and hash, its results, where they came from, repeats, chains, sweeps."""
