import pytest
import torch

from sam2nb.model.mask_decoder import (
    MaskDecoder,
    stability,
    take_best,
    take_multimask,
    take_single_mask,
    take_stable_single_mask,
)
from sam2nb.structures import MaskPrediction
from tests.reference import scramble


@pytest.fixture(scope="module")
def decoder():
    decoder = MaskDecoder(width=32)
    scramble(decoder)
    return decoder


@torch.no_grad()
def test_every_mask_is_its_filter_times_the_upscaled_image(decoder):
    image, dense, position = torch.randn(2, 32, 3, 4), torch.randn(1, 32, 3, 4), torch.randn(1, 32, 3, 4)
    high_res = (torch.randn(2, 4, 12, 16), torch.randn(2, 8, 6, 8))
    seen = {}
    handle = decoder.transformer.register_forward_hook(lambda _module, _inputs, output: seen.update(image=output[1]))
    prediction = decoder(image, position, torch.randn(2, 3, 32), dense, high_res)
    handle.remove()
    assert prediction.logits.shape == (2, 4, 12, 16) and prediction.iou.shape == (2, 4)
    assert prediction.tokens.shape == (2, 4, 32) and prediction.object_score.shape == (2, 1)
    attended = seen["image"].transpose(1, 2).unflatten(2, (3, 4))
    upscaled = decoder.upscale(attended, high_res)
    for m, mlp in enumerate(decoder.output_hypernetworks_mlps):
        expected = torch.einsum("bc,bchw->bhw", mlp(prediction.tokens[:, m]), upscaled)
        torch.testing.assert_close(prediction.logits[:, m], expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_predicted_iou_is_between_zero_and_one(decoder):
    iou = decoder.iou_prediction_head(torch.randn(50, 32) * 20)
    assert 0 <= iou.min() < 0.2 and 0.8 < iou.max() <= 1


def four_masks() -> MaskPrediction:
    """Two objects: the single mask of the first is stable, that of the second is not."""
    logits = torch.full((2, 4, 4, 4), -5.0)
    logits[:, :, :2] = 5.0
    logits[1, 0] = 0.01
    iou = torch.tensor([[0.5, 0.1, 0.9, 0.3], [0.4, 0.7, 0.2, 0.1]])
    return MaskPrediction(logits, iou, torch.rand(2, 4, 8), torch.ones(2, 1))


def test_token_zero_gives_the_single_mask_and_the_others_the_three_of_an_ambiguous_prompt():
    prediction = four_masks()
    assert torch.equal(take_single_mask(prediction).iou, prediction.iou[:, :1])
    assert torch.equal(take_multimask(prediction).iou, prediction.iou[:, 1:])


def test_an_unstable_single_mask_gives_way_to_the_best_of_three_but_keeps_its_token():
    prediction = four_masks()
    taken = take_stable_single_mask(prediction)
    assert taken.iou.flatten().tolist() == pytest.approx([0.5, 0.7])
    assert torch.equal(taken.logits[1, 0], prediction.logits[1, 1])
    assert torch.equal(taken.tokens, prediction.tokens[:, :1])


def test_the_best_mask_is_the_one_with_the_highest_predicted_iou():
    prediction = MaskPrediction(
        torch.arange(6.0).view(2, 3, 1, 1), torch.tensor([[0.1, 0.9, 0.3], [0.7, 0.2, 0.1]]), torch.rand(2, 3, 4), None
    )
    assert take_best(prediction).logits.flatten().tolist() == [1, 3]


def test_stability_compares_areas_around_the_threshold():
    logits = torch.tensor([[[[1.0, 0.01], [-0.01, -1.0]]], [[[-1.0, -1.0], [-1.0, -1.0]]]])
    assert torch.allclose(stability(logits), torch.tensor([[1 / 3], [1.0]]))
