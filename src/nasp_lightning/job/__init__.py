"""What one run does: fit a predictor or search, callable without the command line."""
