"""Segment everything: a grid of points, an answer for each, the good and distinct ones as records.

SAM 2 (arXiv 2408.00714) inherits this from SAM (arXiv 2304.02643, appendix B). Arguments, defaults, record keys and
order are the official ones.

Differs from official: answers the model itself thinks poor go before anything is enlarged, the rest is enlarged strip
by strip (`enlarge.py`), and the decoder gets a few points at a time (`point_search.py`); so memory is small, fixed and
independent of both the picture and `points_per_batch`. Small regions are cleaned in image pixels on every device. Very
large pictures may be cut into tiles whose masks are joined across the seams (`tiles.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence, Sized
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from sam2nb.masks.rle import uncrop_rle
from sam2nb.media.images import ImageLike, to_rgb_uint8
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.everything.candidates import (
    Candidates,
    clean_small_regions,
    concatenate,
    drop_cut_off,
    drop_duplicates,
    drop_duplicates_of_crops,
    drop_empty,
    drop_unstable,
)
from sam2nb.predict.everything.crops import Crop, check_point_grids, crop_layers, point_grids, tile_crops
from sam2nb.predict.everything.decode import ask_again, ask_points, keep_confident, plan_batches
from sam2nb.predict.everything.records import FORMS, Record, record_of
from sam2nb.predict.everything.tiles import join_tiles
from sam2nb.predict.everything.upsample import enlarge_masks
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.predict.pretrained import load_pretrained

SMALLEST_TILE = 64
LARGE_RESULT_BYTES = 2 << 30  # from here on arrays instead of run lengths deserve a warning

log = logging.getLogger(__name__)


@dataclass
class Survivors:
    """How many candidates were left after each step of the last `generate`, over all crops or tiles."""

    points: int = 0
    answers: int = 0
    confident: int = 0
    stable: int = 0
    whole: int = 0
    distinct: int = 0
    records: int = 0

    def add(self, **steps: Sized) -> None:
        """Count what one batch left at some steps."""
        for name, left in steps.items():
            setattr(self, name, getattr(self, name) + len(left))

    def __str__(self) -> str:
        return " > ".join(f"{count} {step}" for step, count in asdict(self).items())


class SAM2AutomaticMaskGenerator:
    """Masks for everything in a picture.

    model: from `load_model` or `build_sam2`.
    points_per_side: the grid has that many points squared; None with point_grids.
    points_per_batch: at most so many points go through the decoder together; changes speed, never results.
    pred_iou_thresh: drop masks whose quality the model itself predicts to be this or lower; 0 keeps all.
    stability_score_thresh: drop masks whose area changes much when the threshold moves; 0 keeps all.
    stability_score_offset: by how much it moves, in logits.
    mask_threshold: logits above it belong to the mask.
    box_nms_thresh: of two masks whose boxes overlap more than this (IoU), the better one stays.
    crop_n_layers: look again at 2 x 2, 4 x 4, … crops. crop_nms_thresh: as box_nms_thresh, between crops.
    crop_overlap_ratio: what neighbouring crops share, of the picture's shorter side.
    crop_n_points_downscale_factor: layer n gets a grid with points_per_side / factor**n points a side.
    point_grids: your own grids, (N, 2) arrays of (x, y) in 0..1, one for the picture and one per layer of crops.
    min_mask_region_area: fill holes and drop islands of fewer image pixels than this, on every device.
    output_mode: "binary_mask" (arrays), "uncompressed_rle" or "coco_rle" (small; best for large pictures).
    use_m2m: ask a second time with the first answer as mask prompt.
    multimask_output: three answers per point, or one.
    memory_budget: bytes that the work on one batch may take, beside the model and the picture's features; None takes
        128 MB on a CPU and 1 GB on a GPU. Where a GPU still runs out of memory, half is tried, and so on.
    tiles: side in pixels of overlapping tiles for pictures far larger than the model's input, or "auto" for the
        model's own input side; points_per_side then counts per tile. None looks at the picture as a whole.
    tile_overlap_ratio: what neighbouring tiles share at least, of a tile's side.

    Raises ValueError for settings that make no sense.
    """

    def __init__(
        self,
        model: SAM2,
        points_per_side: int | None = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Sequence[np.ndarray] | None = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        *,
        memory_budget: int | None = None,
        tiles: int | str | None = None,
        tile_overlap_ratio: float = 0.25,
    ) -> None:
        self.predictor = SAM2ImagePredictor(model, mask_threshold=mask_threshold)
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.mask_threshold = mask_threshold
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode
        self.use_m2m = use_m2m
        self.multimask_output = multimask_output
        self.memory_budget = memory_budget
        self.tiles = model.image_size if tiles == "auto" else tiles
        self.tile_overlap_ratio = tile_overlap_ratio
        self.survivors = Survivors()
        _check_settings(self)
        self.plan = plan_batches(model, memory_budget, points_per_batch)
        self._has_warned = False
        self.point_grids = _make_grids(points_per_side, point_grids, crop_n_layers, crop_n_points_downscale_factor)

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2AutomaticMaskGenerator:
        """A generator for a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".

        kwargs: device, dtype and image_size go to `load_model`, the rest to the generator.
        """
        model, options = load_pretrained(model_id, kwargs)
        return cls(model, **options)

    def generate(self, image: ImageLike, progress: bool = False) -> list[Record]:
        """All masks of a picture, best first, as official orders them; an empty list where nothing survives.

        image: whatever `to_rgb_uint8` takes. progress: show a bar with the masks kept so far.

        Each record is a dict: segmentation (see output_mode; (H, W) bool or run lengths), area (pixels), bbox (x, y,
        width, height), predicted_iou, point_coords ([[x, y]], the point that was asked), stability_score, crop_box
        (x, y, width, height of the part of the picture it was found in).

        `survivors` tells afterwards how many candidates were left after each step.
        """
        rgb = to_rgb_uint8(image)
        found = self.find_candidates(rgb, progress)
        if self.output_mode == "binary_mask" and len(found) * rgb[..., 0].size > LARGE_RESULT_BYTES:
            size = len(found) * rgb[..., 0].size / 2**30
            log.warning('these masks take %.1f GB as arrays; output_mode="coco_rle" takes almost nothing', size)
        return [record_of(found, row, self.output_mode) for row in range(len(found))]

    @torch.no_grad()
    def find_candidates(self, rgb: np.ndarray, progress: bool = False) -> Candidates:
        """What `generate` makes its records from: masks as run lengths, whatever the size of the picture.

        rgb: (H, W, 3) uint8
        """
        size_hw = rgb.shape[:2]
        self.survivors = Survivors()
        crops = self._crops(size_hw)
        with tqdm(
            total=sum(len(self.point_grids[crop.layer]) for crop in crops), unit="point", disable=not progress
        ) as bar:
            parts = [self._search(rgb, crop, bar) for crop in crops]
        found = concatenate(parts)
        if self.tiles is not None:
            found = join_tiles(found, size_hw, self.crop_nms_thresh)
        elif len(crops) > 1:
            found = drop_duplicates_of_crops(found, self.crop_nms_thresh)
        found = clean_small_regions(found, self.min_mask_region_area, max(self.box_nms_thresh, self.crop_nms_thresh))
        self.survivors.records = len(found)
        return found

    def _crops(self, size_hw: tuple[int, int]) -> list[Crop]:
        if self.tiles is None:
            return crop_layers(size_hw, self.crop_n_layers, self.crop_overlap_ratio)
        whole, tiles = Crop((0, 0, size_hw[1], size_hw[0]), 0), tile_crops(size_hw, self.tiles, self.tile_overlap_ratio)
        return tiles if tiles == [whole] else [whole, *tiles]  # things larger than a tile are seen in the whole

    def _search(self, rgb: np.ndarray, crop: Crop, bar: tqdm) -> Candidates:
        """Ask every point of one crop: -> distinct candidates"""
        x0, y0, x1, y1 = crop.box
        self.predictor.set_image(rgb[y0:y1, x0:x1])
        points = torch.as_tensor(self.point_grids[crop.layer] * [x1 - x0, y1 - y0], dtype=torch.float32)
        parts, start = [], 0
        while start < len(points):
            batch = points[start : start + self.plan.points]
            try:
                parts.append(self._ask(batch, crop, rgb.shape[:2]))
            except torch.cuda.OutOfMemoryError:
                self._take_less()
                continue
            start += len(batch)
            bar.update(len(batch))
            bar.set_postfix(kept=self.survivors.whole)
        self.predictor.reset_predictor()
        found = drop_duplicates(concatenate(parts), self.box_nms_thresh)
        self.survivors.distinct += len(found)
        return found

    def _ask(self, points: Tensor, crop: Crop, size_hw: tuple[int, int]) -> Candidates:
        """From a few points to candidates worth keeping. points: (N, 2) in pixels of the crop"""
        answers = ask_points(self.predictor, points, self.multimask_output)
        if self.use_m2m:
            answers = ask_again(self.predictor, answers, self.plan.points)
        confident = keep_confident(answers, self.pred_iou_thresh)
        large = enlarge_masks(
            confident.logits,
            crop.size_hw,
            threshold=self.mask_threshold,
            offset=self.stability_score_offset,
            pixels_at_once=self.plan.pixels,
        )
        found = Candidates(
            points=confident.points + torch.tensor(crop.corner_xy),
            predicted_iou=confident.iou.cpu(),
            stability=large.stability,
            boxes=large.boxes + torch.tensor(crop.corner_xy * 2),
            crop_boxes=torch.tensor(crop.box).expand(len(large.rles), 4),
            rles=tuple(uncrop_rle(rle, crop.corner_xy, size_hw) for rle in large.rles),
        )
        stable = drop_unstable(drop_empty(found), self.stability_score_thresh)
        whole = stable if self.tiles else drop_cut_off(stable, size_hw)
        self.survivors.add(points=points, answers=answers, confident=confident, stable=stable, whole=whole)
        return whole

    def _take_less(self) -> None:
        """A GPU ran out of memory: half as much at once from now on. Says so the first time, gives up at the least."""
        smaller = self.plan.halved()
        if smaller is None:
            raise
        if not self._has_warned:
            log.warning("out of GPU memory with %d points at once; going on with half", self.plan.points)
            self._has_warned = True
        self.plan = smaller
        torch.cuda.empty_cache()


def _make_grids(
    points_per_side: int | None, own: Sequence[np.ndarray] | None, num_layers: int, shrink: int
) -> list[np.ndarray]:
    """The point grids of all layers; ValueError unless exactly one way to get them is given."""
    if (points_per_side is None) == (own is None):
        raise ValueError(
            "give either points_per_side or point_grids: for your own grids pass points_per_side=None as well"
        )
    if own is not None:
        return check_point_grids(own, num_layers)
    if points_per_side < 1 or int(points_per_side / shrink**num_layers) < 1:
        raise ValueError(
            f"points_per_side={points_per_side} leaves no point in crop layer {num_layers} "
            f"with crop_n_points_downscale_factor={shrink}"
        )
    return point_grids(points_per_side, num_layers, shrink)


def _check_settings(generator: SAM2AutomaticMaskGenerator) -> None:
    """Raise ValueError that names the setting, its value and what would be right."""
    for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"):
        if not 0 <= getattr(generator, name) <= 1:
            raise ValueError(f"{name} must be between 0 and 1, got {getattr(generator, name)!r}")
    for name in ("crop_overlap_ratio", "tile_overlap_ratio"):
        if not 0 <= getattr(generator, name) < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(generator, name)!r}")
    for name, least in (("points_per_batch", 1), ("crop_n_layers", 0), ("min_mask_region_area", 0)):
        if getattr(generator, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(generator, name)!r}")
    if generator.crop_n_points_downscale_factor < 1:
        raise ValueError(
            f"crop_n_points_downscale_factor must be at least 1, got {generator.crop_n_points_downscale_factor!r}"
        )
    if generator.output_mode not in FORMS:
        raise ValueError(f"output_mode must be one of {', '.join(FORMS)}, got {generator.output_mode!r}")
    if generator.memory_budget is not None and generator.memory_budget <= 0:
        raise ValueError(f"memory_budget must be a positive number of bytes, got {generator.memory_budget!r}")
    if generator.tiles is not None and not (isinstance(generator.tiles, int) and generator.tiles >= SMALLEST_TILE):
        raise ValueError(f'tiles must be "auto" or at least {SMALLEST_TILE} pixels, got {generator.tiles!r}')
    if generator.tiles is not None and generator.crop_n_layers:
        raise ValueError("tiles and crop_n_layers both cut the picture up: use one of them")
