"""Segment everything in an image: prompt with a grid of points, keep the good and distinct masks.

SAM 2 (arXiv 2408.00714) inherits this from SAM (arXiv 2304.02643, appendix B). Arguments, defaults, and the keys and
order of records are the official ones. The walk: crops -> decode points in batches -> filter -> upsample, score and
encode -> filter -> non-maximum suppression -> records.

Differs from the official package: masks of low predicted IoU are dropped before upsampling, the others are upsampled
strip by strip (`upsample.py`), and the decoder gets a few points at a time (`decode.py`); memory is therefore small,
fixed, and independent of the image and of `points_per_batch`. Small regions are cleaned in image pixels on every
device. Very large images can be cut into tiles whose masks are joined across the seams (`tiles.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
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
    Survivors,
    clean_small_regions,
    drop_cut_off,
    drop_duplicates,
    drop_duplicates_between_crops,
    drop_empty,
    drop_unstable,
    join_candidates,
)
from sam2nb.predict.everything.crops import (
    Crop,
    check_point_grids,
    crop_layers,
    point_grids,
    tile_crops,
    whole_image,
)
from sam2nb.predict.everything.decode import (
    PointMasks,
    decode_points,
    drop_unconfident,
    plan_batches,
    refine_with_m2m,
)
from sam2nb.predict.everything.records import OUTPUT_MODES, Record, record_of
from sam2nb.predict.everything.tiles import join_tiles
from sam2nb.predict.everything.upsample import UpsampledMasks, upsample_masks
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.predict.pretrained import load_pretrained
from sam2nb.predict.threads import on_free_cores

SMALLEST_TILE = 64
SMALLEST_INTEGERS = {
    "points_per_batch": 1,
    "crop_n_layers": 0,
    "crop_n_points_downscale_factor": 1,
    "min_mask_region_area": 0,
}
LARGE_RESULT_BYTES = 2 << 30  # a result of boolean arrays that deserves a warning

log = logging.getLogger(__name__)


class SAM2AutomaticMaskGenerator:
    """Masks of everything in an image.

    model: from `load_model` or `build_sam2`.
    points_per_side: side of the square point grid; None with point_grids.
    points_per_batch: at most this many points go through the decoder together; changes speed, never results.
    pred_iou_thresh: drop masks with a predicted IoU of this or lower; 0 keeps all.
    stability_score_thresh: drop masks whose area changes much when the threshold moves; 0 keeps all.
    stability_score_offset: how far it moves, in logits.
    mask_threshold: pixels with a logit above it belong to the mask.
    box_nms_thresh: of two masks whose boxes have a higher IoU than this, keep the better one.
    crop_n_layers: also segment 2 x 2, 4 x 4, … crops. crop_nms_thresh: as box_nms_thresh, between crops.
    crop_overlap_ratio: overlap of neighbouring crops, as a share of the image's shorter side.
    crop_n_points_downscale_factor: the grid of layer n has points_per_side / factor**n points a side.
    point_grids: your own grids, (N, 2) arrays of (x, y) in 0..1, one for the image and one for each layer of crops.
    min_mask_region_area: fill holes and drop islands of fewer image pixels than this, on every device.
    output_mode: "binary_mask" (arrays), "uncompressed_rle" or "coco_rle" (small; best for large images).
    use_m2m: refine each mask by a second pass, with the mask itself as prompt (mask to mask).
    multimask_output: three masks per point, or one.
    memory_budget: bytes that a batch may take, beyond the model and the image features; None for 128 MB on a CPU and
        1 GB on a GPU. If a GPU still runs out of memory, batches are halved.
    tiles: side in pixels of overlapping tiles, for images far larger than the model's input, or "auto" for the side of
        that input; points_per_side then counts per tile. None segments the image as a whole.
    tile_overlap_ratio: smallest overlap of neighbouring tiles, as a share of a tile's side.

    survivors: number of masks left after each filter of the last `generate`.

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
        self.point_grids = self._make_grids(points_per_side, point_grids)

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> SAM2AutomaticMaskGenerator:
        """A generator for a checkpoint's name or Hugging Face id, such as "facebook/sam2.1-hiera-tiny".

        kwargs: device, dtype and image_size are for `load_model`, the others for the constructor.
        """
        model, options = load_pretrained(model_id, kwargs)
        return cls(model, **options)

    def generate(self, image: ImageLike, progress: bool = False) -> list[Record]:
        """All masks of an image, in the official order, best first; an empty list if none survives.

        image: array, tensor, PIL image or path, see `to_rgb_uint8`. progress: show a bar with the masks kept so far.

        Each record is a dict: segmentation (see output_mode; (H, W) bool or run lengths), area (pixels), bbox (x, y,
        width, height), predicted_iou, point_coords ([[x, y]], the prompt), stability_score, crop_box (x, y, width,
        height of the crop in which it was found).
        """
        rgb = to_rgb_uint8(image)
        found = self.find_candidates(rgb, progress)
        result_bytes = len(found) * rgb.shape[0] * rgb.shape[1]
        if self.output_mode == "binary_mask" and result_bytes > LARGE_RESULT_BYTES:
            gb = result_bytes / 2**30
            log.warning('these masks take %.1f GB as arrays; output_mode="coco_rle" takes far less', gb)
        return [record_of(found, row, self.output_mode) for row in range(len(found))]

    @torch.no_grad()
    def find_candidates(self, rgb: np.ndarray, progress: bool = False) -> Candidates:
        """The masks of `generate` as run lengths, whatever the output mode.

        rgb: (H, W, 3) uint8
        """
        size_hw = rgb.shape[:2]
        self.survivors = Survivors()
        crops = self._crops(size_hw)
        num_points = sum(len(self.point_grids[crop.layer]) for crop in crops)
        with tqdm(total=num_points, unit="point", disable=not progress) as bar:
            found = join_candidates([self._process_crop(rgb, crop, bar) for crop in crops])
        if self.tiles is not None:
            found = join_tiles(found, size_hw, self.crop_nms_thresh)
        elif len(crops) > 1:
            found = drop_duplicates_between_crops(found, self.crop_nms_thresh)
        found = clean_small_regions(found, self.min_mask_region_area, max(self.box_nms_thresh, self.crop_nms_thresh))
        self.survivors += Survivors(records=len(found))
        return found

    def _crops(self, size_hw: tuple[int, int]) -> list[Crop]:
        if self.tiles is None:
            return crop_layers(size_hw, self.crop_n_layers, self.crop_overlap_ratio)
        tiles = tile_crops(size_hw, self.tiles, self.tile_overlap_ratio)
        # objects larger than a tile are found in the whole image
        return tiles if len(tiles) == 1 else [whole_image(size_hw), *tiles]

    def _process_crop(self, rgb: np.ndarray, crop: Crop, bar: tqdm) -> Candidates:
        """All points of one crop, in batches -> distinct candidates"""
        x0, y0, x1, y1 = crop.box
        self.predictor.set_image(rgb[y0:y1, x0:x1])  # by the cache, if there is one
        points = torch.as_tensor(self.point_grids[crop.layer] * [x1 - x0, y1 - y0], dtype=torch.float32)
        parts, done = [], 0
        while done < len(points):
            batch = points[done : done + self.plan.points]
            try:
                parts.append(self._process_batch(batch, crop, rgb.shape[:2]))
            except torch.cuda.OutOfMemoryError:
                if self.plan.is_smallest:
                    raise
                self._halve_batches()
                continue  # with the same points
            done += len(batch)
            bar.update(len(batch))
            bar.set_postfix(kept=self.survivors.whole)
        self.predictor.reset_predictor()
        found = drop_duplicates(join_candidates(parts), self.box_nms_thresh)
        self.survivors += Survivors(distinct=len(found))
        return found

    @on_free_cores()
    def _process_batch(self, points: Tensor, crop: Crop, size_hw: tuple[int, int]) -> Candidates:
        """A few points -> candidates worth keeping. points: (N, 2) in pixels of the crop"""
        masks = decode_points(self.predictor, points, self.multimask_output)
        if self.use_m2m:
            masks = refine_with_m2m(self.predictor, masks, self.plan.points)
        confident = drop_unconfident(masks, self.pred_iou_thresh)
        upsampled = upsample_masks(
            confident.logits,
            crop.size_hw,
            threshold=self.mask_threshold,
            offset=self.stability_score_offset,
            pixels_at_once=self.plan.pixels,
        )
        found = _uncrop(confident, upsampled, crop, size_hw)
        stable = drop_unstable(drop_empty(found), self.stability_score_thresh)
        whole = stable if self.tiles else drop_cut_off(stable, size_hw)
        self.survivors += Survivors(
            points=len(points), masks=len(masks), confident=len(confident), stable=len(stable), whole=len(whole)
        )
        return whole

    def _halve_batches(self) -> None:
        """Take half as much at once from now on, because a GPU ran out of memory; warn the first time."""
        if not self._has_warned:
            log.warning("out of GPU memory with %d points at once; continuing with half", self.plan.points)
            self._has_warned = True
        self.plan = self.plan.halved()
        torch.cuda.empty_cache()

    def _make_grids(self, points_per_side: int | None, own: Sequence[np.ndarray] | None) -> list[np.ndarray]:
        """The point grids of all layers; ValueError unless exactly one of the two is given."""
        if (points_per_side is None) == (own is None):
            raise ValueError(
                "give either points_per_side or point_grids: for your own grids pass points_per_side=None as well"
            )
        if own is not None:
            return check_point_grids(own, self.crop_n_layers)
        return point_grids(points_per_side, self.crop_n_layers, self.crop_n_points_downscale_factor)


def _uncrop(masks: PointMasks, upsampled: UpsampledMasks, crop: Crop, size_hw: tuple[int, int]) -> Candidates:
    """Masks of a crop as candidates in pixels of the image."""
    return Candidates(
        points=masks.points + torch.tensor(crop.corner_xy),
        predicted_iou=masks.iou.cpu(),
        stability=upsampled.stability,
        boxes=upsampled.boxes + torch.tensor(crop.corner_xy * 2),
        crop_boxes=torch.tensor(crop.box).expand(len(masks), 4),
        rles=tuple(uncrop_rle(rle, crop.corner_xy, size_hw) for rle in upsampled.rles),
    )


def _check_settings(generator: SAM2AutomaticMaskGenerator) -> None:
    """Raise ValueError that names the setting, its value and what would be right."""
    for name in ("pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "crop_nms_thresh"):
        if not 0 <= getattr(generator, name) <= 1:
            raise ValueError(f"{name} must be between 0 and 1, got {getattr(generator, name)!r}")
    for name in ("crop_overlap_ratio", "tile_overlap_ratio"):
        if not 0 <= getattr(generator, name) < 1:
            raise ValueError(f"{name} must be at least 0 and below 1, got {getattr(generator, name)!r}")
    for name, least in SMALLEST_INTEGERS.items():
        if getattr(generator, name) < least:
            raise ValueError(f"{name} must be at least {least}, got {getattr(generator, name)!r}")
    if generator.output_mode not in OUTPUT_MODES:
        raise ValueError(f"output_mode must be one of {', '.join(OUTPUT_MODES)}, got {generator.output_mode!r}")
    if generator.memory_budget is not None and generator.memory_budget <= 0:
        raise ValueError(f"memory_budget must be a positive number of bytes, got {generator.memory_budget!r}")
    if generator.tiles is not None and not (isinstance(generator.tiles, int) and generator.tiles >= SMALLEST_TILE):
        raise ValueError(f'tiles must be "auto" or at least {SMALLEST_TILE} pixels, got {generator.tiles!r}')
    if generator.tiles is not None and generator.crop_n_layers:
        raise ValueError("tiles and crop_n_layers both divide the image: use one of them")
