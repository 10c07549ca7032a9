"""LightningModules, their losses and schedules."""
