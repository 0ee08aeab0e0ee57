import torch

from sam2nb.structures import MaskPrediction
from sam2nb.training.losses import averaged, dice_loss, feature_loss, focal_loss, mask_losses, total, true_iou


def prediction(logits: torch.Tensor, iou: float = 0.5, score: float = 0.0) -> MaskPrediction:
    batch, masks = logits.shape[:2]
    return MaskPrediction(
        logits, torch.full((batch, masks), iou), torch.zeros(batch, masks, 8), torch.full((batch, 1), score)
    )


def square(side: int = 16) -> torch.Tensor:
    truth = torch.zeros(side, side)
    truth[4:10, 4:10] = 1
    return truth


def test_a_perfect_mask_has_hardly_any_loss():
    truth = square()
    logits = (truth * 2 - 1) * 20
    assert focal_loss(logits, truth) < 1e-6
    assert dice_loss(logits, truth) < 0.01
    assert true_iou(logits, truth) == 1


def test_focal_loss_by_hand():
    # one undecided pixel inside: alpha 0.25, (1 - 0.5)^2, -log 0.5
    value = focal_loss(torch.zeros(1, 1), torch.ones(1, 1))
    torch.testing.assert_close(value, torch.tensor(0.25 * 0.25 * 0.6931472))


def test_only_the_best_of_three_masks_is_corrected():
    truth = square()[None]
    good, bad = (truth * 2 - 1) * 3, -(truth * 2 - 1) * 3
    logits = torch.stack((bad, good, bad), 1).requires_grad_()
    losses = mask_losses(prediction(logits), truth)
    (losses["focal"] + losses["dice"]).backward()
    moved = logits.grad.abs().amax((0, 2, 3))
    assert moved[1] > 0
    assert moved[0] == moved[2] == 0


def test_the_iou_estimate_of_every_mask_is_compared_with_its_true_iou():
    truth = square()[None]
    logits = torch.stack((truth * 40 - 20, 20 - truth * 40), 1)
    torch.testing.assert_close(mask_losses(prediction(logits, iou=0.5), truth)["iou"], torch.tensor(0.5))


def test_an_absent_object_trains_the_object_score_alone():
    truth = torch.zeros(1, 16, 16)
    logits = torch.full((1, 1, 16, 16), 5.0)
    losses = mask_losses(prediction(logits, score=4.0), truth)
    assert losses["focal"] == losses["dice"] == losses["iou"] == 0
    assert losses["object"] > 3.9


def test_the_feature_loss_is_in_units_of_each_channel():
    teacher = torch.zeros(1, 2, 1, 1)
    student = torch.tensor([10.0, 1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(feature_loss(student, teacher, torch.tensor([10.0, 1.0])), torch.tensor(1.0))


def test_the_total_weights_the_focal_loss_twenty_times():
    one = torch.tensor(1.0)
    assert total(averaged([{"focal": one, "dice": one}, {"focal": one, "dice": 3 * one}])) == 22
