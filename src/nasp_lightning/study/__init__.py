"""A study: a predictor fitted on a benchmark by a framework, once or many times, and judged."""
