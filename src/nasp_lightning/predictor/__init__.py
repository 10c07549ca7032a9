"""Predictors of architecture accuracy: modules from encoded architectures to scores."""
