"""Everything mode: a grid of points, a mask for each, the good and distinct ones as records."""
