"""Measures of rankings and fronts: pure functions."""
