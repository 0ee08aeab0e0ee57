"""Write masks as files of other programs (COCO, YOLO, label map, overlay) and read one of them back.
Run: python examples/export.py [FOLDER]"""

import sys
from pathlib import Path

from sam2nb import SAM2AutomaticMaskGenerator, load_model
from sam2nb.export.masks import load_coco, save_formats

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/export")
PHOTO = ROOT / "data/photos/coins.jpg"

generator = SAM2AutomaticMaskGenerator(
    load_model("sam2nb_nano"),
    points_per_side=16,
    pred_iou_thresh=0.7,
    stability_score_thresh=0.8,
    output_mode="coco_rle",  # run lengths: a few hundred bytes per mask instead of the image's size
)
records = generator.generate(PHOTO)
for path in save_formats(records, PHOTO, OUT, ["coco", "yolo", "labels", "overlay"]):
    print(path, f"{path.stat().st_size:,} bytes")

found, (height, width) = load_coco(OUT / "coins_coco.json")
largest = max(found, key=lambda record: record["area"])
print(f"{len(found)} masks of a {width}x{height} image, the largest has {largest['area']:,} pixels")
