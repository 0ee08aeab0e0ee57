"""Draw the figures of the README from real runs: overview.jpg, and demo.gif, which moves.

    python tools/readme_figure.py                 # both, into data/figures/; about five minutes on two cores
    python tools/readme_figure.py --only demo     # or --only overview

Photographs are segmented by the genuine SAM 2 tiny weights, the film is tracked by sam2nb_tiny.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image, ImageDraw, ImageFont

from sam2nb import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, SAM2VideoPredictor, load_model
from sam2nb.media.images import to_rgb_uint8
from sam2nb.media.video import open_frames
from sam2nb.plotting import choose_colors, color_of, draw_masks, save_figure, show_masks

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "data" / "figures"
PHOTO = ROOT / "data" / "photos" / "cat.jpg"
CLIP = ROOT / "data" / "clips" / "big_buck_bunny.mp4"

SIZE = (560, 315)  # of the moving picture, pixels
FRAME_MS, LAST_MS = 100, 1200
GIF_COLORS = 128
STILLNESS = 12  # grey levels: a pixel that changes by less stays as it was, which makes the file small
ARROW = ((0, 0), (0, 16), (4, 12.5), (6.6, 18.5), (9, 17.4), (6.5, 11.6), (11.6, 11.6))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("overview", "demo"), help="write one of the two")
    only = parser.parse_args().only
    FIGURES.mkdir(exist_ok=True)
    if only != "demo":
        print(overview(FIGURES / "overview.jpg"))
    if only != "overview":
        print(write_gif(FIGURES / "demo.gif", [*photo_scene(), *film_scene()]))
    return 0
