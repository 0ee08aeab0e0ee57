"""Our model core against the official package: the same weights, the same pixels, the same prompts."""

import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.fast import accelerate
from sam2nb.structures import Prompts
from tests.reference import (
    FEATURE_TOLERANCE,
    LOGIT_TOLERANCE,
    SCORE_TOLERANCE,
    build_official,
    first_difference,
    largest_gap,
    official_decoder,
    recording,
    scramble,
)

pytestmark = pytest.mark.parity
TRUNKS = ["sam2.1_hiera_t", "sam2_hiera_s", "sam2_hiera_b+", "sam2.1_hiera_l"]


def build_pair(name: str, image_size: int, seed: int = 0, fast: bool = False):
    theirs = build_official(name, image_size)
    scramble(theirs, seed)
    ours = build_sam2(name, device="cpu", hydra_overrides_extra=[f"++model.image_size={image_size}"], fast=fast)
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


@pytest.fixture(scope="module")
def tiny_pair(official):
    return build_pair("sam2.1_hiera_t", 256, fast=True)  # with hooks, as below, a fast model is the textbook


@pytest.mark.parametrize("image_size", [256, pytest.param(1024, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", TRUNKS)
@torch.no_grad()
def test_image_features_equal_the_official_ones(official, name, image_size):
    if image_size == 1024 and name != "sam2.1_hiera_t":
        pytest.skip("one trunk at full size is enough: padding of the others is covered below")
    ours, theirs = build_pair(name, image_size)
    pixels = torch.randn(1, 3, image_size, image_size)
    with recording(ours) as mine, recording(theirs) as reference:
        textbook = ours.encode_image(pixels)
        expected = theirs.forward_image(pixels)
    culprit = first_difference(mine, reference, FEATURE_TOLERANCE)
    assert culprit is None, f"first differing layer: {culprit}"
    for features in (textbook, accelerate(ours).encode_image(pixels)):
        assert largest_gap(features.embedding, expected["vision_features"]) <= FEATURE_TOLERANCE
        assert largest_gap(features.high_res[0], expected["backbone_fpn"][0]) <= FEATURE_TOLERANCE
        assert largest_gap(features.high_res[1], expected["backbone_fpn"][1]) <= FEATURE_TOLERANCE
        assert largest_gap(features.position, expected["vision_pos_enc"][-1]) <= FEATURE_TOLERANCE


def layers_of_the_trunk(blocks: tuple[int, ...]) -> list[str]:
    """Names of the patch embedding and of every module in some blocks of the tiny trunk."""
    trunk = build_sam2("sam2.1_hiera_t", device="cpu").image_encoder.trunk
    names = [f"blocks.{i}{'.' if name else ''}{name}" for i in blocks for name, _ in trunk.blocks[i].named_modules()]
    return ["patch_embed", "patch_embed.proj", *(name for name in names if not name.endswith("mlp.layers"))]


@torch.no_grad()
def test_the_first_difference_names_any_layer_of_the_trunk(official):
    ours, theirs = build_pair("sam2.1_hiera_t", 128)
    pixels = torch.randn(1, 3, 128, 128)
    with recording(theirs) as reference:
        theirs.forward_image(pixels)
    for name in layers_of_the_trunk(blocks=(0, 1, 5)):  # windowed, opening a stage, global
        name = f"image_encoder.trunk.{name}"
        wrong = ours.get_submodule(name).register_forward_hook(lambda _module, _inputs, output: output * 1.5)
        with recording(ours) as mine:
            ours.image_encoder(pixels)
        wrong.remove()
        assert first_difference(mine, reference, FEATURE_TOLERANCE).startswith(f"{name} (call 0) differs")


@torch.no_grad()
def test_the_first_difference_tells_another_shape():
    assert "has shape" in first_difference({"a": [torch.zeros(2, 3)]}, {"a": [torch.zeros(3, 3)]}, 1.0)


@pytest.mark.parametrize("image_size", [224, 320, 480])
@torch.no_grad()
def test_features_of_inputs_that_do_not_fill_their_windows_equal_the_official_ones(official, image_size):
    # 480 / 4 = 120 pads to 8, 4 and 14 in different ways; 224 is less than one window in the last stage
    ours, theirs = build_pair("sam2_hiera_t", image_size)
    pixels = torch.randn(2, 3, image_size, image_size)
    gap = largest_gap(ours.encode_image(pixels).embedding, theirs.forward_image(pixels)["vision_features"])
    assert gap <= FEATURE_TOLERANCE


PROMPTS = {
    "one point": ([[[50.0, 60.0]]], [[1]], False),
    "points of both kinds": ([[[50.0, 60.0], [10.0, 200.0], [90.0, 90.0]]], [[1, 0, 1]], False),
    "a box": ([[[30.0, 40.0], [150.0, 200.0]]], [[2, 3]], False),
    "a box and points": ([[[30.0, 40.0], [150.0, 200.0], [60.0, 70.0]]], [[2, 3, 0]], False),
    "padding": ([[[50.0, 60.0], [0.0, 0.0]]], [[1, -1]], False),
    "a mask": (None, None, True),
    "a mask and a point": ([[[50.0, 60.0]]], [[1]], True),
    "three objects": ([[[50.0, 60.0]], [[20.0, 20.0]], [[200.0, 99.0]]], [[1], [1], [0]], False),
    "three objects with masks": ([[[50.0, 60.0]], [[20.0, 20.0]], [[200.0, 99.0]]], [[1], [1], [0]], True),
}


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", PROMPTS)
@torch.no_grad()
def test_masks_equal_the_official_ones(tiny_pair, kind, multimask):
    ours, theirs = tiny_pair
    points, labels, with_mask = PROMPTS[kind]
    points = None if points is None else torch.tensor(points)
    labels = None if labels is None else torch.tensor(labels, dtype=torch.int32)
    masks = torch.randn(1 if points is None else len(points), 1, 64, 64) * 5 if with_mask else None
    image = torch.randn(1, 256, 16, 16)
    high_res = (torch.randn(1, 32, 64, 64), torch.randn(1, 64, 32, 32))
    with recording(ours) as mine, recording(theirs) as reference:
        prompts = Prompts(points, labels, masks)
        textbook = ours.predict_masks(image, high_res, prompts, multimask)
        logits, iou, tokens, score = official_decoder(theirs, image, high_res, prompts, multimask, repeat_image=True)
    culprit = first_difference(mine, reference, LOGIT_TOLERANCE)
    assert culprit is None, f"first differing layer: {culprit}"
    assert logits.abs().mean() > 1e-3  # the comparison compares something
    for prediction in (textbook, ours.predict_masks(image, high_res, prompts, multimask)):
        assert largest_gap(prediction.logits, logits) <= LOGIT_TOLERANCE
        assert largest_gap(prediction.iou, iou) <= SCORE_TOLERANCE
        assert largest_gap(prediction.tokens, tokens) <= LOGIT_TOLERANCE
        assert largest_gap(prediction.object_score, score) <= LOGIT_TOLERANCE


@torch.no_grad()
def test_an_unstable_single_mask_gives_way_as_in_the_official_package(tiny_pair):
    ours, theirs = tiny_pair
    image = torch.randn(8, 256, 16, 16)
    high_res = (torch.randn(8, 32, 64, 64), torch.randn(8, 64, 32, 32))
    points, labels = torch.rand(8, 1, 2) * 256, torch.ones(8, 1, dtype=torch.int32)
    logits, iou, _, _ = official_decoder(theirs, image, high_res, Prompts(points, labels), False, repeat_image=False)
    prediction = ours.predict_masks(image, high_res, Prompts(points, labels), multimask=False)
    ours.stable_single_mask = False
    plain = ours.predict_masks(image, high_res, Prompts(points, labels), multimask=False)
    ours.stable_single_mask = True
    gave_way = (plain.logits != prediction.logits).flatten(1).any(dim=1)
    assert gave_way.any()  # otherwise this test shows nothing
    assert largest_gap(prediction.logits, logits) <= LOGIT_TOLERANCE
    assert largest_gap(prediction.iou, iou) <= SCORE_TOLERANCE


@pytest.mark.parametrize("from_prompt", [True, False])
@pytest.mark.parametrize("name", ["sam2_hiera_t", "sam2.1_hiera_t"])
@torch.no_grad()
def test_memories_equal_the_official_ones(official, name, from_prompt):
    theirs = build_official(name, 256, ("++model.binarize_mask_from_pts_for_mem_enc=true",))
    scramble(theirs)
    ours = build_sam2(name, device="cpu", hydra_overrides_extra=["++model.image_size=256"])
    ours.load_state_dict(theirs.state_dict())
    pixels, mask, score = torch.randn(2, 3, 256, 256), torch.randn(2, 1, 256, 256) * 5, torch.tensor([[1.0], [-1.0]])
    features = ours.encode_image(pixels)
    levels = [level.flatten(2).permute(2, 0, 1) for level in theirs.forward_image(pixels)["backbone_fpn"]]
    expected, _ = theirs._encode_new_memory(levels, [(64, 64), (32, 32), (16, 16)], mask, score, from_prompt)
    memory = ours.memorize(features, mask, score, from_prompt)
    assert memory.dtype is torch.bfloat16
    torch.testing.assert_close(memory.float(), expected, rtol=2**-8, atol=1e-4)  # half a step of bfloat16


@torch.no_grad()
def test_a_mask_prompt_gives_the_official_masks_and_pointers(tiny_pair):
    ours, theirs = tiny_pair
    pixels = torch.randn(2, 3, 256, 256)
    features = ours.encode_image(pixels)
    mask = torch.zeros(2, 1, 256, 256)
    mask[0, :, 40:200, 50:180] = 1  # the second object is not in the image
    *_, high, pointer, score = theirs._use_mask_as_output(features.embedding, list(features.high_res), mask)
    prediction, own_pointer = ours.predict_from_mask(features, mask)
    expected_low = torch.nn.functional.interpolate(high, size=(64, 64), mode="bilinear", antialias=True)
    assert largest_gap(prediction.logits, expected_low) <= LOGIT_TOLERANCE
    assert largest_gap(own_pointer, pointer) <= LOGIT_TOLERANCE
    assert largest_gap(prediction.object_score, score) <= SCORE_TOLERANCE
