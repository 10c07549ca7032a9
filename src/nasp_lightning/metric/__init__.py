"""Ranking metrics: pure functions in ``functional``, torchmetrics classes in ``ranking``."""
