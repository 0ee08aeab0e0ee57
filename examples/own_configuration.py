"""Build a model from a configuration of your own: here the weights of sam2nb_nano at a larger input.
Run: python examples/own_configuration.py [FOLDER]"""

import sys
from pathlib import Path

from sam2nb import SAM2ImagePredictor, build_sam2, download
from sam2nb.evaluation import mask_iou
from sam2nb.evaluation.datasets import open_images
from sam2nb.plotting import save_figure, side_by_side

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/own_configuration")
BOX = [287, 13, 398, 95]
# any key of configs/model.yaml and of the chosen generation and trunk can be set; without a checkpoint, sizes too
CONFIGURATION = """\
defaults: [model, generation: "2.1", trunk: nano, _self_]
model:
  image_size: 384  # sam2nb_nano was trained at 256
"""

OUT.mkdir(parents=True, exist_ok=True)
(OUT / "nano_384.yaml").write_text(CONFIGURATION)
sample = open_images(ROOT / "data/sample/stills").load("fluent_06.jpg")
masks, titles = [], []
for configuration in ("sam2nb_nano", OUT / "nano_384.yaml"):
    predictor = SAM2ImagePredictor(build_sam2(configuration, download("sam2nb_nano")))
    predictor.set_image(sample.image)
    mask, _, _ = predictor.predict(box=BOX, multimask_output=False)
    masks.append(mask)
    titles.append(f"input {predictor.model.image_size}: IoU {mask_iou(mask[0], sample.masks[0]):.2f}")
print(*titles, sep="\n")
print(save_figure(side_by_side(sample.image, titles, masks, boxes=[BOX] * 2), OUT / "masks.jpg"))
