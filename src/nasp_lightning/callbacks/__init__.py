"""Generic callbacks: checkpoints, monitored rank correlation, metrics file, progress."""
