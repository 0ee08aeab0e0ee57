"""Our models and those of transformers with one set of random weights, exchanged through a saved folder."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from sam2nb.huggingface import Sam2Config, Sam2Model
from tests.reference import scramble

FEATURES, LOGITS, SCORES = 1e-4, 1e-3, 1e-4  # tolerances
PRESENT = 8.0  # added to object scores: random weights should not lose their objects


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=1e-5)


def make_pair(config: str, side: int, folder: Path) -> SimpleNamespace:
    """Our adapter and both transformers classes, by way of a folder that ours wrote."""
    transformers = pytest.importorskip("transformers")
    ours = Sam2Model(Sam2Config(config, side)).eval()
    scramble(ours.sam2, seed=5)
    with torch.no_grad():
        ours.sam2.sam_mask_decoder.pred_obj_score_head.layers[-1].bias += PRESENT
    ours.save_pretrained(folder)
    load = {"pretrained_model_name_or_path": folder, "output_loading_info": True}
    video, about_video = transformers.Sam2VideoModel.from_pretrained(**load)
    still, about_still = transformers.Sam2Model.from_pretrained(**load)
    for about in (about_video, about_still):
        assert not about["missing_keys"] and not about["mismatched_keys"]
    assert not about_video["unexpected_keys"]
    return SimpleNamespace(ours=ours, still=still.eval(), video=video.eval(), folder=folder, side=side)
