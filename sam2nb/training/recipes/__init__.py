"""Training recipes: nano, its warm start, fine-tuning, two toy examples."""
