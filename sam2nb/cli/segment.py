"""`segment`: clicks and boxes on one image in, mask and overlay files out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2nb.cli.options import (
    BoxOption,
    CacheOption,
    ClickOption,
    DeviceOption,
    DtypeOption,
    ExcludeOption,
    ImageSizeOption,
    ModelOption,
    WeightsOption,
    load_chosen_model,
)
from sam2nb.cli.prompts import TextPrompts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.image import SAM2ImagePredictor

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")  # of files that are written
MAX_LABELS = 255  # values of an 8-bit label map, zero aside
JPEG_QUALITY = 92


def segment(
    image: Annotated[Path, typer.Argument(help="Image to segment.")],
    click: ClickOption = None,
    exclude: ExcludeOption = None,
    box: BoxOption = None,
    out: Annotated[Path | None, typer.Option(help="Mask to write, .png; several objects as values 1, 2, …")] = None,
    overlay: Annotated[Path | None, typer.Option(help="Image with the masks drawn on it, .jpg or .png.")] = None,
    all_masks: Annotated[bool, typer.Option("--all", help="Keep all three masks of a single click.")] = False,
    cache: CacheOption = None,
    model: ModelOption = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = "auto",
    image_size: ImageSizeOption = None,
) -> None:
    """Segment the objects that clicks and boxes point at in one image.

    With --cache, more commands about the same image answer at once:

    python -m sam2nb segment data/photos/cat.jpg --click 220,120 --overlay build/cat.jpg --cache build/cache
    """
    request = SegmentRequest(image, TextPrompts.parse(click, exclude, box), all_masks)
    request.check(out, overlay)
    sam2 = load_chosen_model(model, weights, device, dtype, image_size)
    for line in segment_image(request, sam2, out, overlay, cache):
        typer.echo(line)


@dataclass(frozen=True)
class SegmentRequest:
    """An image and the prompts on it. all_masks: keep the three masks of a single click, not only the best."""

    image: Path
    prompts: TextPrompts
    all_masks: bool = False

    def check(self, out: Path | None = None, overlay: Path | None = None) -> None:
        """Raise ValueError for a request that cannot be carried out, before anything is loaded."""
        targets = [target for target in (out, overlay) if target is not None]
        if not targets:
            raise ValueError("nothing to write: give --out mask.png or --overlay photo.jpg")
        for target in targets:
            if target.suffix.lower() not in IMAGE_SUFFIXES:
                raise ValueError(f"images are written as .png or .jpg, got {target.name!r}")
        if out is not None and out.suffix.lower() != ".png":
            raise ValueError(f"--out must end in .png: JPEG would blur the mask; got {out.name!r}")
        if not self.prompts.locate_objects:
            raise ValueError("nothing to segment: give --click x,y or --box x1,y1,x2,y2")
        if self.all_masks and (self.prompts.boxes or len(self.prompts.points) > 1):
            raise ValueError("--all is for a single --click: with more prompts there is one mask per object")
        if len(self.prompts.boxes) > MAX_LABELS:
            raise ValueError(f"one label map holds at most {MAX_LABELS} boxes, got {len(self.prompts.boxes)}")

    def predict(self, predictor: SAM2ImagePredictor) -> tuple[NDArray, NDArray]:
        """Predict the masks on the predictor's image -> masks (N, H, W) bool, best first, and scores (N,)."""
        points, boxes = self.prompts.points, self.prompts.boxes
        is_ambiguous = len(points) == 1 and not boxes
        masks, scores, _ = predictor.predict(
            point_coords=points or None,
            point_labels=self.prompts.labels or None,
            box=(boxes if len(boxes) > 1 else boxes[0]) if boxes else None,
            multimask_output=is_ambiguous,
        )
        if len(boxes) > 1:
            return masks[:, 0], scores[:, 0]
        order = (-scores).argsort()[: None if self.all_masks else 1]
        return masks[order], scores[order]


def segment_image(
    request: SegmentRequest,
    model: SAM2,
    out: Path | None = None,
    overlay: Path | None = None,
    cache: Path | None = None,
) -> Iterator[str]:
    """Predict the masks and write the files; yields the lines to print. cache: see SAM2ImagePredictor."""
    from sam2nb.media.images import to_rgb_uint8
    from sam2nb.plotting import draw_masks
    from sam2nb.predict.image import SAM2ImagePredictor

    rgb = to_rgb_uint8(request.image)
    predictor = SAM2ImagePredictor(model, cache=cache)
    predictor.set_image(rgb)
    masks, scores = request.predict(predictor)
    for number, (mask, score) in enumerate(zip(masks, scores, strict=True), start=1):
        yield f"mask {number}: score {score:.3f}, {mask.mean():.1%} of the image"
    if out is not None:
        yield str(_write(label_map(masks), out))
    if overlay is not None:
        yield str(_write(draw_masks(rgb, masks), overlay))


def label_map(masks: NDArray) -> NDArray:
    """Masks (N, H, W) bool -> label map (H, W) uint8: 255 inside a single mask; 1, 2, … for several, small on top."""
    import numpy as np

    if len(masks) == 1:
        return masks[0].astype(np.uint8) * 255
    labels = np.zeros(masks.shape[1:], np.uint8)
    for index in np.argsort([-mask.sum() for mask in masks]):
        labels[masks[index]] = index + 1
    return labels


def _write(pixels: NDArray, path: Path) -> Path:
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)
    return path
