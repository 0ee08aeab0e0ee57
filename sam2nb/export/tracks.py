"""Tracked masks out: a video with the masks drawn in, DAVIS palette pictures, COCO run lengths.

Each writer takes one `FrameResult` after the other, so that a long video needs no more memory than a short one. Close
those that have a `close`, or use `contextlib.closing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2nb.masks.rle import rle_from_mask
from sam2nb.media.video import FrameSource
from sam2nb.media.video_writer import VideoWriter
from sam2nb.plotting import draw_masks
from sam2nb.predict.video.session import FrameResult, ObjectId

LABELS = range(1, 255)  # of a palette picture; 0 is the background, 255 means "unknown" in DAVIS


class OverlayWriter:
    """A video in which every object lies under its colour; the colour of an id never changes.

    path: .mp4, .mov, .mkv or .webm. fps: frames per second.
    """

    def __init__(self, path: str | Path, fps: float = 25.0, opacity: float = 0.5) -> None:
        self._video = VideoWriter(path, fps)
        self._opacity = opacity
        self._colors: dict[ObjectId, int] = {}

    def add(self, rgb: np.ndarray, result: FrameResult) -> None:
        """rgb: (H, W, 3) uint8, the frame that the result is about"""
        colors = [self._colors.setdefault(obj_id, len(self._colors)) for obj_id in result.obj_ids]
        masks = _inside(result)
        self._video.add(draw_masks(rgb, masks, colors=colors, opacity=self._opacity) if len(masks) else rgb)

    def close(self) -> None:
        self._video.close()


class PaletteWriter:
    """One palette PNG per frame, as in DAVIS: the pixel's value is the object, 0 the background.

    Integer ids from 1 to 254 stand for themselves, others get the next free value; `labels` tells which. Where
    objects overlap, the highest logit wins.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.labels: dict[ObjectId, int] = {}

    def add(self, result: FrameResult) -> Path:
        path = self.folder / f"{result.frame_idx:05d}.png"
        picture = Image.fromarray(self._label_map(result), mode="P")
        picture.putpalette(davis_palette().reshape(-1).tolist())
        picture.save(path)
        return path

    def _label_map(self, result: FrameResult) -> np.ndarray:
        logits = result.masks[:, 0].float().cpu().numpy()
        if len(logits) == 0:
            return np.zeros(logits.shape[1:], np.uint8)
        values = np.array([self._label_of(obj_id) for obj_id in result.obj_ids], np.uint8)
        return np.where(logits.max(axis=0) > 0, values[logits.argmax(axis=0)], 0).astype(np.uint8)

    def _label_of(self, obj_id: ObjectId) -> int:
        if obj_id not in self.labels:
            free = [label for label in LABELS if label not in self.labels.values()]
            if not free:
                raise ValueError(f"a palette picture holds {len(LABELS)} objects at most")
            stands_for_itself = isinstance(obj_id, (int, np.integer)) and obj_id in free
            self.labels[obj_id] = int(obj_id) if stands_for_itself else free[0]
        return self.labels[obj_id]


class RleWriter:
    """A COCO json: one annotation per object and frame with run lengths, box and area; `track_id` tells the object.

    pycocotools reads it; the frame is the image, with the frame's number as its id.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, result: FrameResult) -> None:
        height, width = result.masks.shape[-2:]
        frame = int(result.frame_idx)
        self._images.append({"id": frame, "file_name": f"{frame:05d}", "height": height, "width": width})
        for obj_id, mask in zip(result.obj_ids, _inside(result), strict=True):
            rle = rle_from_mask(mask)
            if rle.area == 0:
                continue
            x0, y0, x1, y1 = rle.box
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": frame,
                    "track_id": int(obj_id) if isinstance(obj_id, np.integer) else obj_id,
                    "category_id": 1,
                    "segmentation": rle.to_coco(),
                    "area": rle.area,
                    "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
                    "iscrowd": 0,
                }
            )

    def close(self) -> None:
        record = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": 1, "name": "object"}],
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(record) + "\n", encoding="utf-8")


def save_tracks(
    results: Iterable[FrameResult],
    frames: FrameSource | None = None,
    *,
    video: str | Path | None = None,
    masks: str | Path | None = None,
    rle: str | Path | None = None,
    fps: float = 25.0,
) -> int:
    """Write results as they come, for example straight from `propagate_in_video`; -> how many frames there were.

    frames: `session.frames`, needed for `video`. video: an overlay video's path; masks: a folder for palette PNGs;
    rle: a .json. What was written before an error stays readable.
    """
    if video is not None and frames is None:
        raise ValueError("frames are needed to draw a video: pass session.frames")
    count = 0
    with ExitStack() as at_the_end:
        overlay = at_the_end.enter_context(closing(OverlayWriter(video, fps))) if video else None
        runs = at_the_end.enter_context(closing(RleWriter(rle))) if rle else None
        palette = PaletteWriter(masks) if masks else None
        for result in results:
            if overlay:
                overlay.add(frames[result.frame_idx], result)
            if palette:
                palette.add(result)
            if runs:
                runs.add(result)
            count += 1
    return count


def davis_palette() -> np.ndarray:
    """The colours of DAVIS and PASCAL VOC, in which neighbouring labels differ most: (256, 3) uint8"""
    palette = np.zeros((256, 3), np.uint8)
    labels = np.arange(256)
    for bit in range(8):  # three bits of the label set one bit of red, green and blue, highest first
        for channel in range(3):
            palette[:, channel] |= (((labels >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def _inside(result: FrameResult) -> np.ndarray:
    """-> (N, H, W) bool"""
    return (result.masks[:, 0] > 0).cpu().numpy()
