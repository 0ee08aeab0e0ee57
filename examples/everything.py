"""Segment everything in a photograph, without prompts, and list the largest masks.
Run: python examples/everything.py [OUT.jpg]"""

import sys
from pathlib import Path

from sam2nb import SAM2AutomaticMaskGenerator, load_model
from sam2nb.export.masks import save_overlay

ROOT = Path(__file__).resolve().parent.parent
OUT = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/everything.jpg"
PHOTO = ROOT / "data/photos/coins.jpg"

generator = SAM2AutomaticMaskGenerator(
    load_model("auto"),
    points_per_side=16,  # a grid of 16 x 16 clicks
    pred_iou_thresh=0.7,  # both thresholds are below their defaults, which few masks of sam2nb_nano reach
    stability_score_thresh=0.8,
)
records = generator.generate(PHOTO)
print(f"{len(records)} masks")
for record in sorted(records, key=lambda record: -record["area"])[:3]:
    print(f"area {record['area']:,.0f}, box {record['bbox']}, predicted IoU {record['predicted_iou']:.3f}")
print(save_overlay(PHOTO, records, OUT))
