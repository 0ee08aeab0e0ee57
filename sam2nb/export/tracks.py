"""Write tracked masks as an overlay video, DAVIS palette images or COCO run lengths.

Each writer takes one `FrameResult` after the other, so a long video needs no more memory than a short one. Close those
that have a `close`, or use `contextlib.closing`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import supervision as sv
from PIL import Image

from sam2nb.export.classes import PALETTE_FILE, ClassNames, write_label_names
from sam2nb.export.yolo import YoloWriter
from sam2nb.masks.rle import rle_from_mask
from sam2nb.media.images import write_image
from sam2nb.media.video import FrameSource
from sam2nb.media.video_writer import VideoWriter
from sam2nb.plotting import draw_masks, draw_names
from sam2nb.predict.video.session import FrameResult, ObjectId
from sam2nb.whole_file import write_text

SCORE_DIGITS = 4
LABELS = range(1, 255)  # of a palette image; 0 is the background, 255 means "unknown" in DAVIS


class OverlayWriter:
    """A video with the masks painted on its frames, and the names of objects that have one.

    The colour of an object never changes.

    path: .mp4, .mov, .mkv or .webm. fps: frames per second.
    """

    def __init__(self, path: str | Path, fps: float = 25.0) -> None:
        self._video = VideoWriter(path, fps)
        self._colors: dict[ObjectId, int] = {}

    def add(self, rgb: np.ndarray, result: FrameResult) -> None:
        """Append a frame. rgb: (H, W, 3) uint8, the frame that the result belongs to."""
        colors = [self._colors.setdefault(obj_id, len(self._colors)) for obj_id in result.obj_ids]
        self._video.add(draw_result(rgb, result, colors))

    def close(self) -> None:
        """Finish the file."""
        self._video.close()


def draw_result(rgb: np.ndarray, result: FrameResult, colors: Sequence[int] | None = None) -> np.ndarray:
    """Paint the masks of a result on a copy of its frame, and write the names: -> (H, W, 3) uint8

    colors: one object index per object, by default 0, 1, 2 and so on.
    """
    inside = _inside(result)
    drawn = draw_masks(rgb, inside, colors=colors)
    return draw_names(drawn, result.names, sv.mask_to_xyxy(inside), colors) if any(result.names) else drawn


class PaletteWriter:
    """One palette PNG per frame, as in DAVIS: the value of a pixel is its object, 0 the background.

    An integer id from 1 to 254 is its own value if that is free, others get the lowest free one; `labels` maps ids to
    values. Where objects overlap, the highest logit wins. If objects have names, names.json tells those of the values.

    folder: is made if it does not exist.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.labels: dict[ObjectId, int] = {}
        self._names: dict[int, str | None] = {}

    def add(self, result: FrameResult, name: str | None = None) -> Path:
        """Write the file of one frame and return its path. Raises ValueError for more than 254 objects.

        name: of the file, without its ending; by default the number of the frame.
        """
        path = self.folder / f"{f'{result.frame_idx:05d}' if name is None else name}.png"
        image = Image.fromarray(self._label_map(result), mode="P")
        image.putpalette(davis_palette().reshape(-1).tolist())
        write_image(image, path)
        self._note_names(result)
        return path

    def _note_names(self, result: FrameResult) -> None:
        """Write the file of names whenever there is something new in it."""
        names = {self._label_of(obj_id): name for obj_id, name in zip(result.obj_ids, result.names, strict=True)}
        joined = {**self._names, **names}
        if joined != self._names and any(joined.values()):
            write_label_names(self.folder / PALETTE_FILE, dict(sorted(joined.items())))
        self._names = joined

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
                raise ValueError(f"a palette image can hold {len(LABELS)} objects at most")
            is_free_value = isinstance(obj_id, (int, np.integer)) and obj_id in free
            self.labels[obj_id] = int(obj_id) if is_free_value else free[0]
        return self.labels[obj_id]


class RleWriter:
    """A COCO file with one annotation per object and frame: run lengths, box, area, and `track_id` for the object.

    The names of objects are the categories; those without one are of the category "object". Every frame is an image
    whose id is the frame's number. `score` is the predicted IoU and `presence` the object score of the mask, where the
    result has them. pycocotools reads the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._classes = ClassNames()

    def add(self, result: FrameResult, file_name: str | None = None) -> None:
        """Collect the annotations of one frame; an object that is absent has none.

        file_name: of the image, by default the number of the frame.
        """
        height, width = result.masks.shape[-2:]
        frame = int(result.frame_idx)
        self._images.append({"id": frame, "file_name": file_name or f"{frame:05d}", "height": height, "width": width})
        categories = [self._classes.number(name) + 1 for name in result.names]
        for row, (obj_id, mask) in enumerate(zip(result.obj_ids, _inside(result), strict=True)):
            rle = rle_from_mask(mask)
            if rle.area == 0:
                continue
            x0, y0, x1, y1 = rle.box
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": frame,
                    "track_id": int(obj_id) if isinstance(obj_id, np.integer) else obj_id,
                    "category_id": categories[row],
                    "segmentation": rle.to_coco(),
                    "area": rle.area,
                    "bbox": [x0, y0, x1 - x0 + 1, y1 - y0 + 1],
                    "iscrowd": 0,
                    **scores_of(result, row),
                }
            )

    def close(self) -> None:
        """Write the file."""
        record = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": self._classes.categories(),
        }
        write_text(self.path, json.dumps(record) + "\n")


def scores_of(result: FrameResult, row: int) -> dict[str, float]:
    """The scores of one object of a result, rounded for a file: `score` (predicted IoU) and `presence`, if known."""
    scores = {"score": float(result.quality[row]), "presence": float(result.presence[row])}
    return {name: round(value, SCORE_DIGITS) for name, value in scores.items() if not np.isnan(value)}


def save_tracks(
    results: Iterable[FrameResult],
    frames: FrameSource | None = None,
    *,
    video: str | Path | None = None,
    masks: str | Path | None = None,
    rle: str | Path | None = None,
    yolo: str | Path | None = None,
    fps: float = 25.0,
    tolerance: float = 0.0,
) -> int:
    """Write results as they come, for example straight from `propagate_in_video`. -> the number of frames

    frames: `session.frames`, needed for `video` and `yolo`. video: the path of an overlay video; masks: a folder for
    palette PNGs; rle: the path of a .json; yolo: a folder for images and outlines, which may differ from the masks by
    `tolerance` pixels; fps: frames per second of the video. After an error, the frames written before it can be read.

    Raises ValueError for a video or YOLO data without frames, and what the writers raise.
    """
    if (video or yolo) and frames is None:
        raise ValueError("frames are needed to draw a video or to write YOLO data: pass session.frames")
    count = 0
    with ExitStack() as stack:
        overlay = stack.enter_context(closing(OverlayWriter(video, fps))) if video else None
        runs = stack.enter_context(closing(RleWriter(rle))) if rle else None
        labels = stack.enter_context(closing(YoloWriter(yolo, tolerance))) if yolo else None
        palette = PaletteWriter(masks) if masks else None
        for result in results:
            if overlay or labels:
                rgb = frames[result.frame_idx]
            if overlay:
                overlay.add(rgb, result)
            if labels:
                labels.add(rgb, result)
            if palette:
                palette.add(result)
            if runs:
                runs.add(result)
            count += 1
    return count


def davis_palette() -> np.ndarray:
    """The colours of DAVIS and PASCAL VOC, which set neighbouring labels far apart: (256, 3) uint8"""
    palette = np.zeros((256, 3), np.uint8)
    labels = np.arange(256)
    for bit in range(8):  # three bits of the label set one bit of red, green and blue, highest first
        for channel in range(3):
            palette[:, channel] |= (((labels >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return palette


def _inside(result: FrameResult) -> np.ndarray:
    """The masks as booleans: -> (N, H, W)"""
    return (result.masks[:, 0] > 0).cpu().numpy()
