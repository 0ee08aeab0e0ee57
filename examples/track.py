"""Track an object through a video from one box on the first frame; write a video with its mask.
Run: python examples/track.py [OUT.mp4]"""

import sys
from pathlib import Path

from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.export.tracks import save_tracks

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/track.mp4")
BOX = [72, 105, 285, 282]  # x1, y1, x2, y2 in pixels of the video

predictor = SAM2VideoPredictor(load_model("sam2nb_nano"))
session = predictor.init_state(ROOT / "data/clips/big_buck_bunny.mp4")
_, _, masks = predictor.add_new_points_or_box(session, frame_idx=0, obj_id=1, box=BOX)
print(f"frame 0: {(masks[0] > 0).sum():,} pixels")  # masks are logits: positive inside

# the results are written as they come, so that a long video needs no more memory than a short one
results = predictor.propagate_in_video(session)
count = save_tracks(results, session.frames, video=OUT, rle=OUT.with_suffix(".json"), fps=session.frames.fps)
last = predictor.tracker.result(session, count - 1)
print(f"frame {count - 1}: {(last.masks[0] > 0).sum():,} pixels")
print(OUT, OUT.with_suffix(".json"), sep="\n")
