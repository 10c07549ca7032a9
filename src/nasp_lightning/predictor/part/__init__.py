"""Parts that several predictors share."""
