"""Masks and tracks as files of other programs."""
