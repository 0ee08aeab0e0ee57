"""`Sam2Processor`: prompts and masks scaled, padded and checked as transformers does."""

import numpy as np
import pytest
import torch

from sam2nb.huggingface import Sam2Processor, Sam2VideoProcessor

SIDE = 256


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)


def test_processor_scales_prompts_to_the_input_and_pads_with_labels(image):
    inputs = Sam2Processor(SIDE)(
        images=[image, image[:100]],
        input_points=[[[[100, 60]], [[200, 120], [50, 0]]], [[[100, 50]]]],
        input_labels=[[[1], [1, 0]], [[1]]],
    )
    assert inputs.pixel_values.shape == (2, 3, SIDE, SIDE)
    assert inputs["original_sizes"].tolist() == [[120, 200], [100, 200]]
    assert inputs.input_points.tolist() == [
        [[[128, 128], [-10, -10]], [[256, 256], [64, 0]]],
        [[[128, 128], [-10, -10]], [[-10, -10], [-10, -10]]],
    ]
    assert inputs.input_labels.tolist() == [[[1, -10], [1, 0]], [[1, -10], [-10, -10]]]
    assert set(inputs) == {"original_sizes", "pixel_values", "input_points", "input_labels"}


def test_processor_agrees_with_transformers_on_prompts(image):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.Sam2Processor(transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}))
    inputs = {
        "images": [image],
        "input_points": [[[[100, 60], [3, 7]], [[5, 5]]]],
        "input_labels": [[[1, 0], [1]]],
        "input_boxes": [[[10, 20, 110, 90], [0, 0, 50, 50]]],
        "return_tensors": "pt",
    }
    ours, reference = Sam2Processor(SIDE)(**inputs), theirs(**inputs)
    for name in ("input_points", "input_labels", "input_boxes", "original_sizes"):
        expected = torch.as_tensor(reference[name]).float()
        torch.testing.assert_close(ours[name].float(), expected, atol=1e-4, rtol=1e-5)
    gap = (ours.pixel_values - reference["pixel_values"]).abs()
    assert gap.max() < 0.05  # transformers rounds to bytes after resizing, Meta and this package do not


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_segmentation_maps_become_labels_as_in_transformers(image, dtype):
    transformers = pytest.importorskip("transformers")
    size, mask_size = ({"height": side, "width": side} for side in (SIDE, SIDE // 4))
    theirs = transformers.Sam2Processor(transformers.Sam2ImageProcessor(size=size, mask_size=mask_size))
    maps = np.random.default_rng(1).integers(0, 5, image.shape[:2]).astype(dtype)
    inputs = {"images": image, "segmentation_maps": maps, "return_tensors": "pt"}
    labels = Sam2Processor(SIDE)(**inputs).labels
    assert labels.shape == (1, SIDE // 4, SIDE // 4) and labels.dtype == torch.int64
    assert torch.equal(labels, theirs(**inputs | {"segmentation_maps": maps.astype(np.uint8)})["labels"])


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        ([np.zeros((4, 4), int)] * 2, "segmentation_maps is for 2 images, but there are 1"),
        (np.zeros((4, 4)), r"segmentation_maps must be \(H, W\) integers, got float64"),
        (np.zeros((4, 4, 3), int), r"of shape \(4, 4, 3\)"),
    ],
)
def test_wrong_segmentation_maps_are_named(image, maps, message):
    with pytest.raises(ValueError, match=message):
        Sam2Processor(SIDE)(image, segmentation_maps=maps)


def test_processors_are_exchanged_with_transformers_both_ways(image, tmp_path):
    transformers = pytest.importorskip("transformers")
    Sam2Processor(SIDE).save_pretrained(tmp_path / "still")
    Sam2VideoProcessor(SIDE).save_pretrained(tmp_path / "video")
    still = transformers.Sam2Processor.from_pretrained(tmp_path / "still")
    video = transformers.Sam2VideoProcessor.from_pretrained(tmp_path / "video")
    ours = Sam2Processor(SIDE)(image)
    for theirs in (still, video):
        assert theirs.target_size == SIDE
        gap = (theirs(image, return_tensors="pt")["pixel_values"] - ours.pixel_values).abs()
        assert gap.max() < 0.05
    assert video.video_processor.size["height"] == SIDE
    still.save_pretrained(tmp_path / "still back")
    video.save_pretrained(tmp_path / "video back")
    assert Sam2Processor.from_pretrained(tmp_path / "still back").image_size == SIDE
    assert Sam2VideoProcessor.from_pretrained(tmp_path / "video back").image_size == SIDE


def test_masks_that_overlap_are_separated_as_in_transformers():
    transformers = pytest.importorskip("transformers")
    logits = [torch.randn(3, 1, 16, 16) * 5]
    options = {"original_sizes": [[40, 56]], "binarize": False, "apply_non_overlapping_constraints": True}
    theirs = transformers.Sam2ImageProcessor().post_process_masks([logits[0].clone()], **options)[0]
    ours = Sam2Processor(64).post_process_masks(logits, **options)[0]
    assert torch.equal(ours, theirs)
    assert ((ours > 0).sum(dim=0) <= 1).all()


def test_processor_takes_arrays_and_missing_labels_mean_include(image):
    inputs = Sam2Processor(SIDE)(image, input_points=np.array([[[[100.0, 60.0]]]]))
    assert inputs.input_labels.tolist() == [[[1]]]


def test_processor_scales_prompts_for_an_image_that_was_encoded_before():
    inputs = Sam2Processor(SIDE)(input_boxes=[[[0, 0, 100, 60]]], original_sizes=[[120, 200]])
    assert inputs.input_boxes.tolist() == [[[0, 0, 128, 128]]]
    assert inputs.pixel_values is None and "pixel_values" not in inputs.keys()  # noqa: SIM118
    with pytest.raises(KeyError, match="'pixel_values' is not among the inputs"):
        inputs["pixel_values"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give images, or original_sizes"),
        ({"images": []}, "images must be an image or a list with at least one"),
        ({"images": 1, "return_tensors": "np"}, "return_tensors must be 'pt', got 'np'"),
        ({"images": 1, "input_points": [[[1, 2]]]}, "input_points must be nested as .* got fewer levels"),
        ({"images": 1, "input_points": [[[[[1, 2]]]]]}, "input_points must be nested as .* got more levels"),
        ({"images": 1, "input_points": [[[]]]}, "got an empty list"),
        ({"images": 1, "input_points": [[[[1, 2, 3]]]]}, "got 3 numbers at the innermost level"),
        ({"images": 1, "input_points": [[[[1, float("nan")]]]]}, "input_points must be finite"),
        ({"images": 1, "input_labels": [[[1]]]}, "does not fit no input_points"),
        ({"images": 1, "input_points": [[[[1, 2]]]], "input_labels": [[[1, 1]]]}, "does not fit input_points"),
        ({"images": 1, "input_boxes": [[[1, 2, 3, 4]]] * 2}, "input_boxes is for 2 images, but there are 1"),
        ({"images": 2, "input_boxes": [[[1, 2, 3, 4]], [[1, 2, 3, 4]] * 2]}, "the same number of boxes"),
        ({"images": 1, "input_points": [[[[1, 2]]]], "input_boxes": [[[1, 2, 3, 4]] * 2]}, "for 1 objects, .* for 2"),
    ],
)
def test_processor_names_the_argument_that_is_wrong(image, given, message):
    if given.get("images") in (1, 2):
        given = given | {"images": [image] * given["images"]}
    with pytest.raises(ValueError, match=message):
        Sam2Processor(SIDE)(**given)


def test_masks_come_back_at_the_size_of_their_images():
    logits = torch.full((2, 1, 3, 64, 64), -5.0)
    logits[:, :, :, 10:50, 10:50] = 5.0
    logits[:, :, :, 30, 30] = -5.0  # a hole
    logits[:, :, :, 60, 60] = 5.0  # an island
    processor, sizes = Sam2Processor(SIDE), [[128, 128], [64, 64]]
    masks = processor.post_process_masks(logits, sizes)
    assert [tuple(mask.shape) for mask in masks] == [(1, 3, 128, 128), (1, 3, 64, 64)]
    assert masks[1].dtype == torch.bool and masks[1].sum() == 3 * 1600
    cleaned = processor.post_process_masks(logits, torch.tensor(sizes), max_hole_area=4, max_sprinkle_area=4)
    assert cleaned[1][0, 0, 30, 30] and not cleaned[1][0, 0, 60, 60]
    assert processor.post_process_masks(logits, sizes, binarize=False)[0].dtype == torch.float32
    assert processor.post_process_masks(logits, sizes, mask_threshold=6.0)[1].sum() == 0
    with pytest.raises(ValueError, match="masks are for 2 images, original_sizes for 1"):
        processor.post_process_masks(logits, [[64, 64]])
