"""Segment in other images what a mask shows in a reference image: each as a video of two frames.

    for index, obj_ids, masks in segment_like("cat.jpg", mask, ["a.jpg", "b.jpg"]):
        ...

Every image attends to the memory of the reference alone. So the results do not depend on the order of the images, which
may have any size, and nothing accumulates. The official package has no counterpart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import numpy as np
from torch import Tensor

from sam2nb.build import load_model
from sam2nb.media.folder import list_images
from sam2nb.media.images import ImageLike, read_label_map, to_rgb_uint8
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.prompts import ArrayLike
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.prompts import read_mask
from sam2nb.predict.video.session import FrameResult, VideoSession
from sam2nb.predict.video.tracker import Tracker

REFERENCE, CURRENT = 0, 1  # the two frames of the video


class ReferenceAndImage:
    """A frame source of two images that may differ in size: the reference, and another one, which is replaced.

    size_hw: that of the image that was shown last.
    """

    def __init__(self, reference: np.ndarray) -> None:
        self._images = [reference]

    @property
    def size_hw(self) -> tuple[int, int]:
        return self._images[-1].shape[:2]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> np.ndarray:
        return self._images[index]

    def show(self, image: np.ndarray) -> None:
        """Put an image in the place of the one before. image: (H, W, 3) uint8"""
        self._images[CURRENT:] = [image]


def segment_like(
    reference: ImageLike,
    mask: ArrayLike | str | Path,
    images: Iterable[ImageLike] | str | Path,
    predictor: SAM2VideoPredictor | SAM2 | None = None,
    *,
    names: Mapping[int, str] | None = None,
) -> Iterator[FrameResult]:
    """Find the objects of a reference image in other images: yields one `FrameResult` per image.

    reference: an image of any kind. mask: of its size, (H, W); True or one value for one object, or a label map, in
        which each value above 0 is an object with that id; or the path of such an image.
    images: an iterable of images of any kind and size, read one by one; or a folder, in natural order of the names.
    predictor: a video predictor, a model, or None for `load_model("auto")`. Its search is not used.
    names: class names of the objects, by id.

    A result has the number of the image as `frame_idx`, `masks` (N, 1, H, W) as logits at the size of the image,
    `quality` (predicted IoU) and `presence` (positive where the object is there) for each of N objects.

    Raises ValueError for a mask that is empty or of another size, and for names of unknown objects; TypeError if
    `images` is a single array; while iterating, what `to_rgb_uint8` raises.
    """
    source = ReferenceAndImage(to_rgb_uint8(reference))
    objects = read_objects(mask, source.size_hw)
    unknown = [obj_id for obj_id in names or {} if obj_id not in objects]
    if unknown:
        raise ValueError(f"names has an entry for {unknown[0]!r}, the mask shows {', '.join(map(str, objects))}")
    images = _iterable_of(images)
    if predictor is None or isinstance(predictor, SAM2):
        predictor = SAM2VideoPredictor(predictor or load_model())
    own = predictor.tracker
    tracker = Tracker(**{option.name: getattr(own, option.name) for option in fields(Tracker)})  # without a region
    session = tracker.open(source, len(source))
    for obj_id, inside in objects.items():
        tracker.prompt(session, REFERENCE, obj_id, read_mask(session, inside))
        session.objects[obj_id].name = (names or {}).get(obj_id)
    tracker.settle(session)
    return _results(tracker, session, source, images)


def _results(
    tracker: Tracker, session: VideoSession, source: ReferenceAndImage, images: Iterable[ImageLike]
) -> Iterator[FrameResult]:
    for index, image in enumerate(images):
        source.show(to_rgb_uint8(image))
        session.encoded = None
        tracker.track(session, CURRENT)
        found = tracker.result(session, CURRENT)
        for track in session.objects.values():
            for known in (track.bank.tracked, track.facts, track.directions):
                del known[CURRENT]
        scores = found.quality.tolist(), found.presence.tolist()
        yield FrameResult(index, found.obj_ids, found.masks, *scores, found.names)


def _iterable_of(images: Iterable[ImageLike] | str | Path) -> Iterable[ImageLike]:
    if isinstance(images, (str, Path)):
        folder = Path(images)
        if not folder.is_dir():
            raise ValueError(f"images must be a folder or an iterable of images, got {str(images)!r}: put it in a list")
        if not (found := list_images(folder)):
            raise ValueError(f"images: the folder {str(images)!r} has no images")
        return found
    if isinstance(images, (np.ndarray, Tensor)) and images.ndim < 4:
        raise TypeError(f"images is a single image of shape {tuple(images.shape)}: put it in a list")
    if not isinstance(images, Iterable):
        raise TypeError(f"images must be a folder or an iterable of images, got {type(images).__name__}")
    return images


def read_objects(mask: ArrayLike | str | Path, size_hw: tuple[int, int]) -> dict[int, np.ndarray]:
    """The mask of each object, by its value in the label map; a mask with a single value above 0 is object 1."""
    if isinstance(mask, (str, Path)):
        labels = read_label_map(mask)
    else:
        labels = np.asarray(mask.detach().cpu() if isinstance(mask, Tensor) else mask)
    if labels.ndim == 3 and len(labels) == 1:
        labels = labels[0]
    if labels.shape != tuple(size_hw):
        raise ValueError(f"mask must have the shape of the reference, {tuple(size_hw)}, got {labels.shape}")
    values = np.unique(labels[labels > 0])
    if len(values) == 0:
        raise ValueError("mask is empty: it must show the object in the reference")
    if labels.dtype.kind == "f" and len(values) > 1:
        raise ValueError(
            f"mask must be bool or a label map of whole numbers, got {len(values)} values in {labels.dtype}"
        )
    if len(values) == 1:
        return {1: labels > 0}
    return {int(value): labels == value for value in values}
