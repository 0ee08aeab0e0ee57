"""Correct a track that went wrong: click on one frame and propagate again. The correction lasts.
Run: python examples/correct.py [OUT.jpg]"""

import sys
from pathlib import Path

from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.evaluation import mask_iou
from sam2nb.evaluation.datasets import open_clips
from sam2nb.plotting import save_figure, side_by_side

ROOT = Path(__file__).resolve().parent.parent
OUT = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/correct.jpg"
BOX, WRONG, LAST, CLICK = [216, 137, 275, 182], 18, 23, [[287, 200]]

[clip] = open_clips(ROOT / "data/sample/clips/scratch_00")  # comes with exact masks; object 2 is a gecko
predictor = SAM2VideoPredictor(load_model("sam2nb_nano"), progress=False)
session = predictor.init_state(clip.frames[0].parent)
predictor.add_new_points_or_box(session, frame_idx=0, obj_id=2, box=BOX)
before = [result.masks[0, 0] > 0 for result in predictor.propagate_in_video(session)]
# the mask has spread over the table: exclude it with one click (label 0), then track again
predictor.add_new_points_or_box(session, WRONG, obj_id=2, points=CLICK, labels=[0])
after = [result.masks[0, 0] > 0 for result in predictor.propagate_in_video(session)]

frames, masks, titles = [], [], []
for frame in (WRONG, LAST):
    for name, mask in (("before", before[frame].numpy()), ("after", after[frame].numpy())):
        titles.append(f"frame {frame}, {name}: IoU {mask_iou(mask, clip.mask(frame, 2)):.2f}")
        frames, masks = [*frames, clip.frame(frame)], [*masks, mask]
print(*titles, sep="\n")
points, labels = [None, CLICK, None, None], [None, [0], None, None]
print(save_figure(side_by_side(frames, titles, masks, points=points, labels=labels, columns=2, panel_width=5), OUT))
