"""One reference with its mask, other images."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb import SAM2VideoPredictor, load_model, segment_like
from sam2nb.export.tracks import save_tracks

SIZE_HW = (96, 128)
RED, BLUE = (220, 40, 40), (40, 60, 220)


def scene(x: int, y: int, size_hw=SIZE_HW, side: int = 34) -> np.ndarray:
    """A red square with a yellow spot, its corner at (x, y), and a smaller blue one left below it."""
    rgb = np.full((*size_hw, 3), (120, 150, 120), np.uint8)
    rgb[y : y + side, x : x + side] = RED
    rgb[y + 10 : y + 18, x + 8 : x + 18] = (240, 220, 60)
    rgb[y + side + 4 : y + side + 20, max(x - 8, 0) : x + 10] = BLUE
    return rgb


def square(x: int, y: int, size_hw=SIZE_HW, side: int = 34) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def iou(result, row: int, mask: np.ndarray) -> float:
    found = (result.masks[row, 0] > 0).numpy()
    return (found & mask).sum() / (found | mask).sum()


@pytest.fixture(scope="module")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=128)


@pytest.fixture(scope="module")
def predictor(nano):
    return SAM2VideoPredictor(nano, progress=False)


OTHERS = [(60, 30, (96, 128)), (20, 40, (120, 90)), (100, 12, (100, 200))]


def test_the_object_is_found_in_images_of_other_sizes(predictor):
    images = (scene(*other) for other in OTHERS)  # a generator
    results = list(segment_like(scene(40, 10), square(40, 10), images, predictor))
    assert [result.frame_idx for result in results] == [0, 1, 2]
    for result, other in zip(results, OTHERS, strict=True):
        assert result.obj_ids == [1] and result.masks.shape == (1, 1, *other[2])
        assert iou(result, 0, square(*other)) > 0.7 and result.presence[0] > 0 and 0 < result.quality[0] <= 1


def test_results_depend_on_no_other_image(predictor):
    reference = scene(40, 10), square(40, 10)
    images = [scene(*other) for other in OTHERS]
    together = list(segment_like(*reference, images, predictor))
    for index, image in enumerate(images):
        [alone] = segment_like(*reference, [image], predictor)
        assert alone.masks.equal(together[index].masks) and alone.quality.equal(together[index].quality)


def test_a_label_map_shows_several_objects_which_may_have_names(predictor, tmp_path):
    labels = square(40, 10) * 3
    labels[48:64, 32:50] = 7
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "labels.png")
    Image.fromarray(scene(40, 10)).save(tmp_path / "reference.png")
    (tmp_path / "others").mkdir()
    for index, other in enumerate(OTHERS[:2]):
        Image.fromarray(scene(*other)).save(tmp_path / "others" / f"{10 - index}.png")
    files = tmp_path / "reference.png", tmp_path / "labels.png", tmp_path / "others"
    results = list(segment_like(*files, predictor, names={7: "blue"}))
    assert [result.masks.shape[2:] for result in results] == [OTHERS[1][2], OTHERS[0][2]]
    assert all(result.obj_ids == [3, 7] and result.names == [None, "blue"] for result in results)
    assert iou(results[1], 0, square(*OTHERS[0])) > 0.7
    assert save_tracks(results, masks=tmp_path / "masks", rle=tmp_path / "like.json") == 2


@pytest.mark.parametrize(
    "kind", [np.array, torch.tensor, np.float32, lambda mask: mask * 255, lambda mask: mask.tolist()]
)
def test_a_mask_of_one_object_may_have_any_form(predictor, kind):
    [result] = segment_like(scene(40, 10), kind(square(40, 10)), [scene(60, 30)], predictor)
    assert result.obj_ids == [1] and iou(result, 0, square(60, 30)) > 0.7


@pytest.mark.parametrize("options", [{"memory": "match"}, {"search": "region"}, {"memory": "anchored"}])
def test_every_memory_works_and_no_place_is_remembered(nano, options):
    predictor = SAM2VideoPredictor(nano, progress=False, **options)
    [result] = segment_like(scene(4, 4), square(4, 4), [scene(80, 34)], predictor)
    assert iou(result, 0, square(80, 34)) > 0.6
    assert predictor.tracker.search == options.get("search", "frame")


def test_a_model_is_enough_and_the_reference_stays_as_it_was(nano):
    reference = scene(40, 10)
    [result] = segment_like(reference, square(40, 10), [reference], nano)
    assert iou(result, 0, square(40, 10)) > 0.8 and np.array_equal(reference, scene(40, 10))


def test_no_images_give_no_results(predictor):
    assert list(segment_like(scene(40, 10), square(40, 10), [], predictor)) == []


@pytest.mark.parametrize(
    ("mask", "images", "error", "message"),
    [
        (np.zeros(SIZE_HW), [], ValueError, "mask is empty"),
        (np.ones((5, 6)), [], ValueError, r"shape of the reference, \(96, 128\), got \(5, 6\)"),
        (np.random.default_rng(0).normal(size=SIZE_HW), [], ValueError, "bool or a label map"),
        (square(9, 9), scene(1, 1), TypeError, "single image of shape"),
        (square(9, 9), "photo.jpg", ValueError, "put it in a list"),
        (square(9, 9), 3, TypeError, "iterable of images, got int"),
    ],
)
def test_what_cannot_be_right_is_refused_at_once(predictor, mask, images, error, message):
    with pytest.raises(error, match=message):
        segment_like(scene(40, 10), mask, images, predictor)


def test_names_of_unknown_objects_and_files_in_colour_are_refused(predictor, tmp_path):
    with pytest.raises(ValueError, match="names has an entry for 2, the mask shows 1"):
        segment_like(scene(40, 10), square(40, 10), [], predictor, names={1: "red", 2: "blue"})
    Image.fromarray(scene(40, 10)).save(tmp_path / "rgb.png")
    with pytest.raises(ValueError, match="'rgb.png' is in colour"):
        segment_like(scene(40, 10), tmp_path / "rgb.png", [], predictor)
    with pytest.raises(ValueError, match="has no images"):
        (tmp_path / "empty").mkdir()
        segment_like(scene(40, 10), square(40, 10), tmp_path / "empty", predictor)


def test_an_image_that_is_none_is_named(predictor, tmp_path):
    results = segment_like(scene(40, 10), square(40, 10), [scene(60, 30), tmp_path / "gone.png"], predictor)
    assert next(results).frame_idx == 0
    with pytest.raises(FileNotFoundError, match="gone.png"):
        next(results)
