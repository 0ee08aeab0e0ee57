"""Track everything in a video, without prompts; write a video with all masks, and run lengths by object.
Run: python examples/track_everything.py [OUT.mp4]"""

import sys
from collections import Counter
from pathlib import Path

from sam2nb import SAM2VideoPredictor, load_model, track_everything
from sam2nb.export.tracks import save_tracks
from sam2nb.media.video import open_frames

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/track_everything.mp4")

predictor = SAM2VideoPredictor(load_model("sam2nb_nano"))
frames = open_frames(ROOT / "data/clips/big_buck_bunny.mp4")
seen = Counter()  # frames by object


def results():
    """Results one by one, so that a long video needs no more memory than a short one."""
    for result in track_everything(predictor, frames, every=10):  # look for new objects on every tenth frame
        seen.update(obj_id for obj_id, mask in zip(result.obj_ids, result.masks, strict=True) if (mask > 0).any())
        yield result


save_tracks(results(), frames, video=OUT, rle=OUT.with_suffix(".json"), fps=frames.fps)
print(f"{len(seen)} objects; seen on frames: {', '.join(f'{obj_id}: {n}' for obj_id, n in sorted(seen.items()))}")
print(OUT, OUT.with_suffix(".json"), sep="\n")
