"""Search strategies: what to evaluate next."""
