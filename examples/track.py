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
predictor.add_new_points_or_box(session, frame_idx=0, obj_id=1, box=BOX)


def results():
    """Results one by one, so that a long video needs no more memory than a short one."""
    for result in predictor.propagate_in_video(session):
        if result.frame_idx % 10 == 0:
            print(f"frame {result.frame_idx}: {(result.masks[0] > 0).sum():,} pixels")  # logits: positive inside
        yield result


save_tracks(results(), session.frames, video=OUT, rle=OUT.with_suffix(".json"), fps=session.frames.fps)
print(OUT, OUT.with_suffix(".json"), sep="\n")
