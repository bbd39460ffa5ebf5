"""Training: models, data sets, what each defense minimises, one loop, several processes."""
