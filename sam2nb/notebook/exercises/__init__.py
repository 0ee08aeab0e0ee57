"""Checkers of the exercises, one file per notebook: nb02.py belongs to 02_point_and_box_prompts."""
