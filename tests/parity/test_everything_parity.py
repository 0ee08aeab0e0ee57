"""Everything mode against the official one, on the genuine tiny weights and three photographs."""

import numpy as np
import pytest
from pycocotools import mask as coco

from sam2nb import SAM2AutomaticMaskGenerator
from sam2nb.masks.rle import as_rle
from sam2nb.notebook import photo
from tests.reference import build_official

pytestmark = [pytest.mark.parity, pytest.mark.genuine, pytest.mark.slow, pytest.mark.timeout(1800)]

MASK_IOU, SCORE_TOLERANCE = 0.999, 1e-3


@pytest.fixture(scope="module")
def official_model(official, genuine_tiny):
    theirs = build_official("sam2_hiera_t")
    theirs.load_state_dict(genuine_tiny.state_dict(), strict=True)
    return theirs


def assert_same(ours: list[dict], theirs: list[dict]) -> None:
    assert len(ours) == len(theirs) > 0
    for index, (mine, reference) in enumerate(zip(ours, theirs, strict=True)):
        assert list(mine) == list(reference), "record keys or their order"
        packed = [as_rle(record["segmentation"]).to_coco() for record in (mine, reference)]
        iou = coco.iou(packed[:1], packed[1:], [False])[0, 0]
        assert iou >= MASK_IOU, f"mask {index}: IoU {iou}"
        for key in ("predicted_iou", "stability_score"):
            assert mine[key] == pytest.approx(reference[key], abs=SCORE_TOLERANCE), f"mask {index}: {key}"
        assert mine["area"] == pytest.approx(reference["area"], rel=1e-3)
        assert mine["bbox"] == pytest.approx(reference["bbox"], abs=1)
        assert mine["point_coords"] == reference["point_coords"] and mine["crop_box"] == reference["crop_box"]


def run_both(ours, theirs, image: np.ndarray, **settings) -> tuple[list[dict], list[dict]]:
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator as OfficialGenerator

    return (
        SAM2AutomaticMaskGenerator(ours, **settings).generate(image),
        OfficialGenerator(theirs, **settings).generate(image),
    )


@pytest.mark.parametrize("name", ["astronaut", "coffee", "cat"])
def test_default_settings_find_the_same_masks_in_the_same_order(name, genuine_tiny, official_model):
    assert_same(*run_both(genuine_tiny, official_model, photo(name), points_per_side=16))


def test_mask_to_mask_refinement_finds_the_same_masks(genuine_tiny, official_model):
    settings = {"points_per_side": 6, "use_m2m": True, "output_mode": "coco_rle"}
    ours, theirs = run_both(genuine_tiny, official_model, photo("astronaut"), **settings)
    assert_same(ours, theirs)
    assert all(isinstance(record["segmentation"]["counts"], str) for record in ours)
    assert ours[0]["segmentation"].keys() == theirs[0]["segmentation"].keys()


def test_crops_find_the_same_masks(genuine_tiny, official_model):
    settings = {"points_per_side": 6, "crop_n_layers": 1, "crop_n_points_downscale_factor": 2}
    ours, theirs = run_both(genuine_tiny, official_model, photo("coffee"), output_mode="uncompressed_rle", **settings)
    assert_same(ours, theirs)
    assert isinstance(ours[0]["segmentation"]["counts"], list)
    assert len({tuple(record["crop_box"]) for record in ours}) > 1


def test_single_masks_and_other_thresholds_find_the_same_masks(genuine_tiny, official_model):
    settings = {
        "points_per_side": None,
        "point_grids": [np.array([[0.2, 0.3], [0.5, 0.5], [0.7, 0.6], [0.45, 0.2], [0.9, 0.9]])],
        "multimask_output": False,
        "pred_iou_thresh": 0.0,
        "stability_score_thresh": 0.5,
        "stability_score_offset": 0.7,
        "mask_threshold": 0.4,
        "box_nms_thresh": 0.95,
    }
    assert_same(*run_both(genuine_tiny, official_model, photo("cat"), **settings))
