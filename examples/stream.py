"""Track in a stream, frame by frame and with constant memory: a camera, a network address, any iterator.
Run: python examples/stream.py [OUT.mp4]"""

import sys
from pathlib import Path

from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.media.video import iterate_frames
from sam2nb.media.video_writer import VideoWriter
from sam2nb.plotting import draw_masks

ROOT = Path(__file__).resolve().parent.parent
OUT = sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/stream.mp4"
SOURCE = ROOT / "data/clips/big_buck_bunny.mp4"  # 0 for the first camera, or "rtsp://…"

stream = SAM2VideoPredictor(load_model("sam2nb_nano")).stream()
with VideoWriter(OUT) as video:
    for frame in iterate_frames(SOURCE):
        index, _, masks = stream.push(frame)
        if index == 0:  # prompts are about the current frame; objects may be added on any
            _, _, masks = stream.add_new_points_or_box(obj_id=1, box=[72, 105, 285, 282])
        video.add(draw_masks(frame, masks))
        if index % 9 == 0:
            held = len(stream.session.objects[1].bank.tracked)
            print(f"frame {index}: {(masks > 0).sum():,} pixels, {held} memories held")
print(OUT)
