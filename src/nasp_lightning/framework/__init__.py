"""How a predictor is trained: phases of one fit, their mathematics as pure functions."""
