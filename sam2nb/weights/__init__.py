"""Checkpoint files: which exist, where they come from, reading and writing them."""
