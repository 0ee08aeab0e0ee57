"""Segment from a box, then refine the mask with a click on a part that is missing.
Run: python examples/box.py [OUT.jpg]"""

import sys
from pathlib import Path

from PIL import Image

from sam2nb import SAM2ImagePredictor, load_model
from sam2nb.plotting import save_figure, side_by_side

ROOT = Path(__file__).resolve().parent.parent
OUT = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/box.jpg"
BOX, CLICK = [174, 20, 407, 307], [[255, 151]]  # x1, y1, x2, y2 and x, y in pixels

image = Image.open(ROOT / "data/photos/coffee.jpg")
predictor = SAM2ImagePredictor(load_model("auto"))
predictor.set_image(image)
first, score, logits = predictor.predict(box=BOX, multimask_output=False)
print(f"box: {first.sum():,.0f} pixels, predicted IoU {score[0]:.3f}")
# the logits of the first mask go back in, so that the click corrects it instead of starting again
second, score, _ = predictor.predict(CLICK, [1], box=BOX, mask_input=logits, multimask_output=False)
print(f"box and click: {second.sum():,.0f} pixels, predicted IoU {score[0]:.3f}")

titles = ["a box", "a box and a click"]
print(save_figure(side_by_side(image, titles, [first, second], points=[None, CLICK], boxes=[BOX, BOX]), OUT))
