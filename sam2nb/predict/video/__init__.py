"""Tracking: prompts on any frame, propagation, streams."""
