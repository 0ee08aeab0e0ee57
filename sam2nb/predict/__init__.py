"""Predictors: still images, everything in an image, objects through a video."""
