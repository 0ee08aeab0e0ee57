"""The boxes of the paper's figure in textbook form, one file each; imports torch and structures only."""
