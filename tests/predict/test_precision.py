import torch
from torch import nn

from sam2nb.predict.precision import autocast_for


class Model(nn.Linear):
    """The two attributes that decide."""

    device = torch.device("cpu")
    compute_dtype = torch.float32


def test_half_precision_is_used_inside_the_context_only():
    model, x = Model(2, 2), torch.ones(1, 2)
    with autocast_for(model):
        assert model(x).dtype is torch.float32
    model.compute_dtype = torch.bfloat16
    with autocast_for(model):
        assert model(x).dtype is torch.bfloat16
    assert model(x).dtype is torch.float32
