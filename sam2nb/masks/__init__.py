"""Masks without a model: run lengths, connected regions, measures."""
