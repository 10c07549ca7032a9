"""Estimation Codes: what is known of an architecture before, or beside, its label."""
