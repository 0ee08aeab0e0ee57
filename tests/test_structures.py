import torch

from sam2nb.structures import PADDING_LABEL, ImageFeatures, Prompts


def test_rows_of_features_are_selected_or_repeated_with_one_position_for_all():
    levels = (torch.arange(3.0).view(3, 1, 1, 1), torch.arange(3.0).view(3, 1, 1, 1) * 10)
    features = ImageFeatures(torch.arange(3.0).view(3, 1, 1, 1), torch.zeros(1, 1, 1, 1), levels)
    repeated = features.rows(torch.tensor([2, 0, 2, 1]))
    assert repeated.embedding.flatten().tolist() == [2, 0, 2, 1]
    assert repeated.high_res[1].flatten().tolist() == [20, 0, 20, 10]
    assert repeated.position is features.position
    assert features.rows(slice(1, 2)).embedding.shape == (1, 1, 1, 1)


def test_the_padding_prompt_is_one_point_that_means_nothing_for_every_object():
    prompts = Prompts.padding(3, torch.device("cpu"))
    assert prompts.points.shape == (3, 1, 2) and prompts.labels.tolist() == [[PADDING_LABEL]] * 3
    assert prompts.masks is None
