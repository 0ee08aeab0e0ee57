"""The second look: small objects answered again on a crop; everything else as before."""

import logging

import numpy as np
import pytest
import torch

from sam2nb import SAM2ImagePredictor, load_model
from sam2nb.masks.measure import mask_boxes
from sam2nb.predict import closer, encoding
from sam2nb.predict.closer import as_mask_input, look_closer, looks_closer, prompts_in_region, region_of
from sam2nb.predict.encoding import PARTS_KEPT, EncodedParts, encode_images
from sam2nb.predict.regions import crop, region_around
from sam2nb.structures import NO_OBJECT_LOGIT, WHOLE_FRAME, Prompts

SIZE_HW = (150, 211)  # odd
SIDE = 128
BOX, CENTRE = [60, 80, 84, 98], [[72, 89]]


def scene(centre=(72, 89), radii=(12, 9), size_hw=SIZE_HW):
    """A bright ellipse on a dark, slightly noisy ground, and its mask."""
    y, x = np.mgrid[: size_hw[0], : size_hw[1]]
    inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
    noise = np.random.default_rng(0).integers(0, 30, (*size_hw, 3), dtype=np.uint8)
    return np.where(inside[..., None], np.uint8(220), noise + 40).astype(np.uint8), inside


def overlap(mask, truth):
    return (mask & truth).sum() / (mask | truth).sum()


@pytest.fixture(scope="module")
def model():
    return load_model("sam2nb_nano", device="cpu", image_size=SIDE)


@pytest.fixture
def predictor(model):
    predictor = SAM2ImagePredictor(model, closer=True)
    predictor.set_image(scene()[0])
    return predictor


@pytest.fixture
def counted(monkeypatch):
    """The sizes of the images that were encoded."""
    sizes = []

    def encode(model, images):
        sizes.extend(image.shape[:2] for image in images)
        return encode_images(model, images)

    monkeypatch.setattr(encoding, "encode_images", encode)
    return sizes


# --- which answers ----------------------------------------------------------------------------------------------------


def test_a_box_is_answered_as_on_a_crop_made_by_hand_and_pasted_back(model, predictor):
    image, truth = scene()
    masks, scores, logits = predictor.predict(box=BOX, multimask_output=False, return_logits=True)
    first = predictor.predict_prompts(closer_prompts(BOX), multimask_output=False)
    region = region_of(closer_prompts(BOX), first.logits[0, 0], SIZE_HW, SIDE)
    x0, y0, x1, y1 = (round(edge * side) for edge, side in zip(region, (211, 150, 211, 150), strict=True))
    assert x0 < BOX[0] and y0 < BOX[1] and x1 > BOX[2] and y1 > BOX[3]
    by_hand = SAM2ImagePredictor(model, closer=False)
    by_hand.set_image(image[y0:y1, x0:x1])
    own_box = np.array(BOX) - [x0, y0, x0, y0]
    prior = best_by_box(by_hand, own_box)
    best = best_by_box(by_hand, own_box, prior)
    pasted = np.full(SIZE_HW, NO_OBJECT_LOGIT, np.float32)
    upsampled = torch.nn.functional.interpolate(best[None, None], (y1 - y0, x1 - x0), mode="bilinear")
    pasted[y0:y1, x0:x1] = upsampled[0, 0].numpy()
    np.testing.assert_allclose(masks[0], pasted, atol=1e-3)
    np.testing.assert_allclose(logits[0], as_mask_input(torch.tensor(pasted)[None], SIDE // 4)[0], atol=1e-3)
    assert overlap(masks[0] > 0, truth) > 0.8 and scores.shape == (1,)


def closer_prompts(box):
    points = torch.tensor(box, dtype=torch.float32).reshape(1, 2, 2) * torch.tensor([SIDE / 211, SIDE / 150])
    return Prompts(points, torch.tensor([[2, 3]], dtype=torch.int32))


def best_by_box(predictor, box, prior=None):
    """Of the decoder's four masks the one of the highest predicted IoU plus IoU of its box with the prompt."""
    height, width = predictor.original_sizes[0]
    box = torch.tensor(box / [width, height, width, height], dtype=torch.float32)
    masks = None if prior is None else prior.clamp(-32, 32)[None, None]
    image = predictor.images[0]
    prompts = Prompts(box.reshape(1, 2, 2) * SIDE, torch.tensor([[2, 3]], dtype=torch.int32), masks)
    with torch.no_grad():
        found = predictor.model.predict_all_masks(image.conditioned, image.features.high_res, prompts)
    values = []
    for logits, quality in zip(found.logits[0], found.iou[0], strict=True):
        tight = (mask_boxes(logits > 0) + torch.tensor([0, 0, 1, 1])) / logits.shape[-1]
        shared = (torch.minimum(tight[2:], box[2:]) - torch.maximum(tight[:2], box[:2])).clamp(min=0).prod()
        areas = (tight[2:] - tight[:2]).prod() + (box[2:] - box[:2]).prod()
        values.append(float(quality + shared / (areas - shared)))
    return found.logits[0, int(np.argmax(values))]


@pytest.mark.parametrize("prompt", [{"box": BOX}, {"point_coords": CENTRE, "point_labels": [1]}])
def test_without_a_second_look_nothing_changes(model, predictor, prompt):
    plain = SAM2ImagePredictor(model, closer=False)
    plain.set_image(scene()[0])
    for left, right in zip(plain.predict(**prompt), predictor.predict(**prompt, closer=False), strict=True):
        assert np.array_equal(left, right)
    first = plain.predict_prompts(Prompts(torch.zeros(1, 1, 2), torch.ones(1, 1, dtype=torch.int32)))
    assert first.logits.shape == (1, 3, SIDE // 4, SIDE // 4)  # the tensor-level form never looks twice


def test_a_large_object_keeps_its_first_answer_and_costs_nothing(model, counted):
    image, _ = scene(centre=(105, 75), radii=(90, 65))
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(image)
    del counted[:]
    prompt = {"box": [15, 10, 195, 140], "return_logits": True}
    for left, right in zip(predictor.predict(**prompt), predictor.predict(**prompt, closer=False), strict=True):
        assert np.array_equal(left, right)
    assert not counted


def test_of_three_masks_each_keeps_its_place_and_score(predictor):
    first = predictor.predict(CENTRE, [1], closer=False)
    second = predictor.predict(CENTRE, [1])
    assert np.array_equal(first.scores, second.scores)
    assert second.masks.shape == (3, *SIZE_HW) and second.masks.dtype == bool
    for old, new in zip(first.masks, second.masks, strict=True):
        assert not old.any() or overlap(old, new) > 0.2


def test_a_box_with_three_masks_and_clicks_in_it_is_answered_closer(predictor):
    masks, scores, _ = predictor.predict(CENTRE, [1], box=BOX)
    assert masks.shape == (3, *SIZE_HW) and scores.shape == (3,)
    assert max(overlap(mask, scene()[1]) for mask in masks) > 0.7


def test_an_earlier_answer_goes_back_in(predictor):
    _, scores, logits = predictor.predict(CENTRE, [1])
    assert np.abs(logits).max() <= 32
    refined = predictor.predict(CENTRE, [1], mask_input=logits[scores.argmax()][None], multimask_output=False)
    assert refined.masks.shape == (1, *SIZE_HW) and overlap(refined.masks[0], scene()[1]) > 0.5
    alone = predictor.predict(mask_input=refined.logits, multimask_output=False, return_logits=True)
    assert alone.masks.dtype == np.float32 and alone.masks.shape == (1, *SIZE_HW)


def test_a_batch_equals_one_object_at_a_time(predictor):
    boxes = [BOX, [10, 10, 40, 40], [0, 0, 211, 150]]
    together = predictor.predict(box=boxes, multimask_output=False, return_logits=True)
    for row, box in enumerate(boxes):
        alone = predictor.predict(box=box, multimask_output=False, return_logits=True)
        np.testing.assert_allclose(together.masks[row], alone.masks, atol=1e-2)
        np.testing.assert_allclose(together.scores[row], alone.scores, atol=1e-4)


@pytest.mark.parametrize("centre", [(4, 70), (206, 146), (100, 2)])
def test_objects_at_the_border_are_answered_inside_the_image(model, centre):
    image, truth = scene(centre, (10, 10))
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    predictor = SAM2ImagePredictor(model, closer=True)
    predictor.set_image(image)
    box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    masks = predictor.predict(box=box, multimask_output=False).masks
    assert overlap(masks[0], truth) > 0.6


def test_images_of_few_pixels_have_a_second_look_too(model):
    predictor = SAM2ImagePredictor(model, closer=True)
    for size_hw in ((1, 1), (3, 301), (17, 5)):
        predictor.set_image(np.zeros((*size_hw, 3), np.uint8))
        assert predictor.predict([[0, 0]], [1]).masks.shape == (3, *size_hw)


def test_batches_of_images_look_closer_at_each(model):
    predictor = SAM2ImagePredictor(model)
    predictor.set_image_batch([scene()[0], scene((30, 40))[0]])
    boxes = [BOX, [18, 31, 42, 49]]
    masks, _, _ = predictor.predict_batch(box_batch=boxes, multimask_output=False, closer=True)
    assert overlap(masks[0][0], scene()[1]) > 0.8 and overlap(masks[1][0], scene((30, 40))[1]) > 0.8


def test_an_answer_that_shows_something_else_is_not_kept(model, predictor, monkeypatch):
    first = predictor.predict(box=BOX, multimask_output=False, return_logits=True, closer=False)
    elsewhere = torch.full((1, SIDE // 4, SIDE // 4), -9.0)
    elsewhere[:, :2, :2] = 9.0
    monkeypatch.setattr(closer, "_fill_box", lambda *_: (elsewhere, torch.ones(1)))
    second = predictor.predict(box=BOX, multimask_output=False, return_logits=True)
    assert np.array_equal(first.masks, second.masks) and np.array_equal(first.scores, second.scores)


# --- regions and prompts in them --------------------------------------------------------------------------------------


def test_a_region_shows_every_click_that_includes_and_the_first_answer():
    logits = torch.full((32, 32), -5.0)
    logits[8:12, 8:12] = 5.0
    clicks = Prompts(torch.tensor([[[40.0, 40.0], [70.0, 44.0], [120.0, 8.0]]]), torch.tensor([[1, 1, 0]]))
    x0, y0, x1, y1 = region_of(clicks, logits, (200, 200), SIDE)
    assert x0 < 0.25 and y0 < 0.25 and x1 > 70 / SIDE and y1 > 12 / 32 and x1 < 120 / SIDE


def test_a_box_alone_decides_where_its_region_is():
    leaking = torch.full((32, 32), 5.0)
    box = Prompts(torch.tensor([[[20.0, 20.0], [40.0, 30.0]]]), torch.tensor([[2, 3]], dtype=torch.int32))
    assert region_of(box, leaking, (200, 200), SIDE) == region_of(box, -leaking, (200, 200), SIDE) != WHOLE_FRAME


def test_nothing_to_look_at_keeps_the_whole_image():
    nowhere = torch.full((32, 32), -5.0)
    assert region_of(Prompts(), nowhere, (200, 200), SIDE) == WHOLE_FRAME
    excluded = Prompts(torch.zeros(1, 1, 2), torch.zeros(1, 1, dtype=torch.int32))
    assert region_of(excluded, nowhere, (200, 200), SIDE) == WHOLE_FRAME


def test_clicks_outside_of_the_region_are_left_out_and_boxes_are_not():
    labels = torch.tensor([[2, 3, 1, 0]], dtype=torch.int32)
    points = torch.tensor([[[0.0, 32.0], [128.0, 96.0], [64.0, 64.0], [10.0, 64.0]]])
    moved = prompts_in_region(Prompts(points, labels, torch.zeros(1, 1, 32, 32)), (0.25, 0.25, 0.75, 0.75), SIDE)
    assert moved.labels.tolist() == [[2, 3, 1, -1]]
    assert moved.points[0, :3].tolist() == [[-64, 0], [192, 128], [64, 64]]
    assert moved.masks.shape == (1, 1, 32, 32)


def test_a_click_outside_of_the_crop_changes_nothing_there(predictor):
    near = predictor.predict(CENTRE, [1], box=BOX, multimask_output=False, return_logits=True)
    far = predictor.predict([*CENTRE, [205, 5]], [1, 0], box=BOX, multimask_output=False, return_logits=True)
    assert overlap(near.masks[0] > 0, far.masks[0] > 0) > 0.9


# --- cost -------------------------------------------------------------------------------------------------------------


def test_further_prompts_on_the_same_object_cost_no_new_encoding(predictor, counted):
    predictor.predict(box=BOX, multimask_output=False)
    assert len(counted) == 1
    predictor.predict(CENTRE, [1], box=BOX, multimask_output=False)
    predictor.predict([*CENTRE, [100, 20]], [1, 0], box=[60, 79, 84, 98], multimask_output=False)
    assert len(counted) == 1


def test_the_parts_used_last_are_kept_and_no_more():
    made = []
    parts = EncodedParts(lambda region: made.append(region) or region, SIZE_HW)
    regions = [(0.0, 0.0, 0.1, 0.01 * n) for n in range(1, PARTS_KEPT + 2)]
    for region in regions[:-1]:
        parts[region]
    parts[regions[0]]  # used again, so the second one is the oldest
    parts[regions[-1]]
    assert len(parts.kept) == PARTS_KEPT and regions[0] in parts.kept and regions[1] not in parts.kept
    assert made == regions


# --- who looks twice --------------------------------------------------------------------------------------------------


def test_only_nano_looks_twice_by_itself(model, random_model):
    assert looks_closer(model, None) and not looks_closer(model, False)
    assert not looks_closer(random_model, None) and looks_closer(random_model, True)
    with pytest.raises(TypeError, match="closer must be True, False or None .* got 'yes'"):
        looks_closer(model, "yes")


def test_official_models_look_twice_when_asked(random_model, noise):
    predictor = SAM2ImagePredictor(random_model)
    predictor.set_image(noise)
    prompt = {"box": [30, 30, 50, 50], "multimask_output": False, "return_logits": True}
    plain, twice = predictor.predict(**prompt), predictor.predict(**prompt, closer=True)
    assert plain.masks.shape == twice.masks.shape
    for left, right in zip(plain, predictor.predict(**prompt, closer=None), strict=True):
        assert np.array_equal(left, right)


def test_saved_and_cached_images_look_twice_as_well(model, predictor, tmp_path):
    expected = predictor.predict(box=BOX, return_logits=True)
    loaded = SAM2ImagePredictor(model)
    loaded.load(predictor.save(tmp_path / "image.safetensors"))
    cached = SAM2ImagePredictor(model, cache=tmp_path / "cache")
    for _ in range(2):  # written, then read
        cached.set_image(scene()[0])
    for other in (loaded, cached):
        for left, right in zip(expected, other.predict(box=BOX, return_logits=True), strict=True):
            assert np.array_equal(left, right)


def test_a_file_without_pixels_is_answered_once_and_a_demand_is_refused(model, predictor, tmp_path, caplog):
    path = encoding.save_images(tmp_path / "image.safetensors", predictor.images, model, pixels=False)
    loaded = SAM2ImagePredictor(model)
    loaded.load(path)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(loaded.predict(box=BOX).masks, predictor.predict(box=BOX, closer=False).masks)
    with pytest.raises(RuntimeError, match="closer=True needs the image's pixels"):
        loaded.predict(box=BOX, closer=True)


def test_the_image_may_change_after_it_was_set(model):
    image = scene()[0]
    predictor = SAM2ImagePredictor(model, closer=True)
    predictor.set_image(image)
    expected = predictor.predict(box=BOX).masks
    predictor.set_image(image)
    image[:] = 0
    assert np.array_equal(predictor.predict(box=BOX).masks, expected)


def test_everything_mode_encodes_its_crops_the_same_way(model):
    image = scene()[0]
    region = region_around((0.3, 0.5, 0.4, 0.6), SIZE_HW)
    part = encoding.encode_part(model, image, region)
    [by_hand] = encode_images(model, [crop(image, region)])
    assert torch.equal(part.conditioned, by_hand.conditioned) and part.size_hw == by_hand.size_hw


def test_objects_without_a_second_look_are_told_apart(model, predictor):
    prompts = closer_prompts([0, 0, 211, 150])
    first = predictor.predict_prompts(prompts, multimask_output=False)
    looks = look_closer(model, predictor.images[0].parts, prompts, first.logits, first.iou, multimask=False)
    assert list(looks) == [None]
