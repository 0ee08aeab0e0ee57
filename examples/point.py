"""Segment from one click: three masks, from a part to the whole, of which the best-scored is saved.
Run: python examples/point.py [OUT.jpg]"""

import sys
from pathlib import Path

from PIL import Image

from sam2nb import SAM2ImagePredictor, load_model
from sam2nb.plotting import save_figure, side_by_side

ROOT = Path(__file__).resolve().parent.parent
OUT = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/point.jpg"
CLICK = [[225, 110]]  # x, y in pixels

image = Image.open(ROOT / "data/photos/astronaut.jpg")
predictor = SAM2ImagePredictor(load_model("auto"))  # the best checkpoint on this machine
predictor.set_image(image)
masks, scores, _ = predictor.predict(point_coords=CLICK, point_labels=[1])  # label 1 includes, 0 excludes
for mask, score in zip(masks, scores, strict=True):
    print(f"{mask.sum():,.0f} pixels, predicted IoU {score:.3f}")

titles = [f"predicted IoU {score:.2f}" for score in scores]
titles[scores.argmax()] += " (best)"
print(save_figure(side_by_side(image, titles, masks, points=[CLICK] * 3), OUT))
