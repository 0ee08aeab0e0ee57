"""Turn the boxes of a detector into masks and tracks that keep their classes; write an image and COCO json.
Run: python examples/detector.py [OUT.jpg]"""

import sys
from pathlib import Path

import cv2
import numpy as np
import supervision as sv
from PIL import Image

from sam2nb import SAM2ImagePredictor, SAM2VideoPredictor, load_model
from sam2nb.export.detections import from_detections
from sam2nb.export.masks import save_coco, save_overlay
from sam2nb.export.tracks import save_tracks

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/examples/detector.jpg")
image = np.array(Image.open(ROOT / "data/photos/coins.jpg").convert("L"))


def detect(grey: np.ndarray) -> sv.Detections:
    """A stand-in: bright blobs are coins. With a real detector: `sv.Detections.from_ultralytics(model(image)[0])`."""
    blurred = cv2.GaussianBlur(grey, (0, 0), 3)
    bright = cv2.adaptiveThreshold(blurred, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 101, -8)
    x, y, width, height, area = cv2.connectedComponentsWithStats(bright)[2][1:].T  # 0 is the background
    boxes = np.stack((x, y, x + width, y + height), axis=1)[area > 300].astype(np.float32)
    return sv.Detections(xyxy=boxes, data={"class_name": np.array(["coin"] * len(boxes))})


model = load_model("sam2nb_nano")
predictor = SAM2ImagePredictor(model)
predictor.set_image(image)
found = predictor.predict_detections(detect(image))  # the same detections, with masks
records = from_detections(found)
print(f"{len(found)} coins, mean predicted IoU {found.data['predicted_iou'].mean():.3f}")
print(save_overlay(image, records, OUT))
print(save_coco(records, OUT.with_suffix(".json"), image.shape, "coins.jpg"))

tracker = SAM2VideoPredictor(model)  # in a video, each detection becomes an object
session = tracker.init_state([np.roll(image, 3 * shift, axis=1) for shift in range(4)])
tracker.add_detections(session, 0, detect(image)[:3])
tracks = OUT.with_name(f"{OUT.stem}_tracks.json")
save_tracks(tracker.propagate_in_video(session), rle=tracks)
print(tracks)
