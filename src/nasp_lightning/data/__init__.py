"""Data modules: architectures of a benchmark, their splits and labels."""
