"""Computed things that are kept one by one, checked, and resumed."""
