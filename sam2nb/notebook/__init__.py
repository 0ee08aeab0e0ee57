"""Everything that a notebook needs: one line to start, functions that show, checked exercises.

from sam2nb.notebook import check, describe, setup, show_source
lab = setup(seed=0)
predictor = SAM2ImagePredictor(lab.load())
"""

from sam2nb.media.progress import with_bar
from sam2nb.notebook.check import attempt, check, exercise, require
from sam2nb.notebook.hints import hint
from sam2nb.notebook.lab import Lab, setup
from sam2nb.notebook.prediction import commit
from sam2nb.notebook.progress import collect, progress
from sam2nb.notebook.quizzes import quiz
from sam2nb.notebook.samples import clip_names, clip_path, data_dir, photo, photo_labels, photo_mask, photo_names
from sam2nb.notebook.show import describe, show_source, table

__all__ = [
    "Lab",
    "attempt",
    "check",
    "clip_names",
    "clip_path",
    "collect",
    "commit",
    "data_dir",
    "describe",
    "exercise",
    "hint",
    "photo",
    "photo_labels",
    "photo_mask",
    "photo_names",
    "progress",
    "quiz",
    "require",
    "setup",
    "show_source",
    "table",
    "with_bar",
]
