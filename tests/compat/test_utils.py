"""The helpers by official names, against the official package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2nb.compat.utils import amg as ours
from sam2nb.compat.utils import misc, transforms
from tests.predict.video.clips import COUNT, SIZE_HW, frame

pytestmark = pytest.mark.parity


@pytest.fixture
def masks() -> torch.Tensor:
    """Five masks, the last one empty: (5, 24, 30) bool"""
    coarse = torch.rand(5, 6, 5) > 0.5
    masks = coarse.repeat_interleave(4, dim=1).repeat_interleave(6, dim=2) ^ (torch.rand(5, 24, 30) > 0.95)
    masks[-1] = False
    return masks


def test_run_lengths_areas_and_boxes_agree(amg, masks):
    mine, theirs = ours.mask_to_rle_pytorch(masks), amg.mask_to_rle_pytorch(masks)
    assert mine == theirs
    assert all(np.array_equal(ours.rle_to_mask(rle), amg.rle_to_mask(rle)) for rle in theirs)
    assert [ours.area_from_rle(rle) for rle in theirs] == [amg.area_from_rle(rle) for rle in theirs]
    assert [ours.coco_encode_rle(rle) for rle in theirs] == [amg.coco_encode_rle(rle) for rle in theirs]
    assert torch.equal(ours.batched_mask_to_box(masks), amg.batched_mask_to_box(masks))
    box = torch.tensor([3.0, 4.0, 10.0, 20.0])
    assert torch.equal(ours.box_xyxy_to_xywh(box), amg.box_xyxy_to_xywh(box))


def test_stability_agrees_where_there_is_a_mask(amg):
    logits = torch.randn(6, 24, 30) * 3
    torch.testing.assert_close(
        ours.calculate_stability_score(logits, 0.0, 1.0), amg.calculate_stability_score(logits, 0.0, 1.0)
    )
    assert ours.calculate_stability_score(torch.full((1, 4, 4), -9.0), 0.0, 1.0).item() == 0


def test_grids_and_crops_agree(amg):
    assert np.array_equal(ours.build_point_grid(7), amg.build_point_grid(7))
    for mine, theirs in zip(
        ours.build_all_layer_point_grids(8, 2, 2), amg.build_all_layer_point_grids(8, 2, 2), strict=True
    ):
        assert np.array_equal(mine, theirs)
    for layers in range(3):
        assert ours.generate_crop_boxes((90, 140), layers, 0.3) == amg.generate_crop_boxes((90, 140), layers, 0.3)


@pytest.mark.parametrize("atol", [0.0, 5.0, 20.0])
def test_boxes_points_and_masks_of_crops_agree(amg, masks, atol):
    crop, image = [40, 20, 70, 44], [0, 0, 140, 90]
    boxes = torch.rand(50, 4) * 30
    assert torch.equal(ours.uncrop_boxes_xyxy(boxes, crop), amg.uncrop_boxes_xyxy(boxes, crop))
    assert torch.equal(ours.uncrop_points(boxes[:, :2], crop), amg.uncrop_points(boxes[:, :2], crop))
    assert torch.equal(ours.uncrop_masks(masks, crop, 90, 140), amg.uncrop_masks(masks, crop, 90, 140))
    near = ours.is_box_near_crop_edge(boxes, crop, image, atol)
    assert torch.equal(near, amg.is_box_near_crop_edge(boxes, crop, image, atol))


@pytest.mark.parametrize("mode", ["holes", "islands"])
@pytest.mark.parametrize("area", [0, 1.5, 3, 40, 1000])
def test_small_regions_agree(amg, masks, mode, area):
    for mask in masks[:-1].numpy():
        mine, changed = ours.remove_small_regions(mask, area, mode)
        theirs, their_changed = amg.remove_small_regions(mask, area, mode)
        assert np.array_equal(mine, theirs) and changed == their_changed
    with pytest.raises(ValueError, match="mode must be one of holes, islands, got 'both'"):
        ours.remove_small_regions(masks[0].numpy(), 3, "both")


def test_boxes_of_masks_and_frames_agree(official, masks, tmp_path):
    from PIL import Image
    from sam2.utils import misc as theirs

    assert torch.equal(misc.mask_to_box(masks[:-1, None]), theirs.mask_to_box(masks[:-1, None]))
    for index in range(COUNT):
        Image.fromarray(frame(index)).save(tmp_path / f"{index:05d}.jpg")
    options = {"image_size": 64, "offload_video_to_cpu": True, "compute_device": torch.device("cpu")}
    mine, reference = (load(str(tmp_path), **options) for load in (misc.load_video_frames, theirs.load_video_frames))
    assert mine[1:] == reference[1:] == SIZE_HW
    torch.testing.assert_close(mine[0], reference[0], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"img_mean and img_std must be \(0.485, .*, got \(0, 0, 0\)"):
        misc.load_video_frames(str(tmp_path), img_mean=(0, 0, 0), **options)


def test_holes_are_filled_on_a_cpu():
    logits = torch.full((1, 1, 12, 12), 5.0)
    logits[..., 3:5, 3:5] = logits[..., 8:12, 8:12] = -5.0
    filled = misc.fill_holes_in_mask_scores(logits, 8)
    assert (filled[..., 3:5, 3:5] > 0).all() and (filled[..., 8:, 8:] < 0).all()


def test_transforms_agree(official):
    from sam2.utils.transforms import SAM2Transforms

    mine, theirs = (kind(64, mask_threshold=0.0) for kind in (transforms.SAM2Transforms, SAM2Transforms))
    images = [frame(0), frame(1)[:30]]
    assert torch.equal(mine(images[0]), theirs(images[0]))
    assert torch.equal(mine.forward_batch(images), theirs.forward_batch(images))
    points, boxes, masks = torch.rand(5, 3, 2) * 40, torch.rand(5, 4) * 40, torch.randn(2, 3, 16, 16)
    for options in ({"normalize": True, "orig_hw": SIZE_HW}, {"normalize": False}):
        assert torch.equal(mine.transform_coords(points, **options), theirs.transform_coords(points, **options))
        assert torch.equal(mine.transform_boxes(boxes, **options), theirs.transform_boxes(boxes, **options))
    assert torch.equal(mine.postprocess_masks(masks, SIZE_HW), theirs.postprocess_masks(masks, SIZE_HW))
    with pytest.raises(ValueError, match="orig_hw, the"):
        mine.transform_coords(points, normalize=True)


def test_transforms_clean_masks_on_a_cpu():
    logits = torch.full((1, 1, 16, 16), 5.0)
    logits[..., 3, 3] = -5.0
    clean = transforms.SAM2Transforms(64, 0.0, max_hole_area=2).postprocess_masks(logits, (16, 16))
    assert (clean > 0).all()


def test_checkpoint_names_agree(official):
    from sam2.build_sam import HF_MODEL_ID_TO_FILENAMES

    from sam2nb.compat.build_sam import HF_MODEL_ID_TO_FILENAMES as names

    assert names == HF_MODEL_ID_TO_FILENAMES
