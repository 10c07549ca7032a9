"""Figures: plots and drawings in one style."""
