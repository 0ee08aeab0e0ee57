"""Checkers for the exercises, one file per notebook: nb02.py holds those of 02_point_and_box_prompts."""
