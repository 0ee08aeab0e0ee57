"""The official package as a yardstick: build it, share one set of weights, find the first layer that differs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sam2nb.structures import Prompts

FEATURE_TOLERANCE, LOGIT_TOLERANCE, SCORE_TOLERANCE = 1e-4, 1e-3, 1e-4


def official_config(name: str) -> str:
    """Our name of a configuration -> the official one"""
    return f"configs/{'sam2.1' if name.startswith('sam2.1') else 'sam2'}/{name}.yaml"


def build_official(name: str, image_size: int = 1024, extra: tuple[str, ...] = ()):
    """The official model, on the CPU, with random weights."""
    from sam2.build_sam import build_sam2

    overrides = [f"++model.image_size={image_size}", *extra]
    return build_sam2(official_config(name), None, device="cpu", hydra_overrides_extra=overrides)


def official_decoder(model, image: Tensor, high_res, prompts: Prompts, multimask: bool, repeat_image: bool) -> tuple:
    """Prompt encoder and mask decoder of the official model -> logits, iou, tokens, object score"""
    points = None if prompts.points is None else (prompts.points, prompts.labels)
    sparse, dense = model.sam_prompt_encoder(points=points, boxes=None, masks=prompts.masks)
    return model.sam_mask_decoder(
        image_embeddings=image,
        image_pe=model.sam_prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        repeat_image=repeat_image,
        high_res_features=list(high_res),
    )


def scramble(model: nn.Module, seed: int = 0) -> None:
    """Random weights in which every parameter matters: nothing stays at zero or one, activations are of order one."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in sorted(model.state_dict(keep_vars=True).items()):  # by name: whatever the order of the modules
        noise = torch.randn(tensor.shape, generator=generator)
        with torch.no_grad():
            if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "norm3.weight", "norm4.weight")):
                tensor.copy_(1 + 0.1 * noise)
            elif tensor.ndim <= 1:
                tensor.copy_(0.1 * noise)
            elif tensor.shape[0] == 1 or "embed" in name or "enc" in name.split(".")[-1] or "gaussian" in name:
                tensor.copy_(0.3 * noise)
            else:
                tensor.copy_(noise / tensor[0].numel() ** 0.5)


@contextmanager
def recording(model: nn.Module):
    """Collect what every module returns, by name, in order of the calls."""
    outputs: dict[str, list[Tensor]] = {}

    def hook(name: str) -> Callable:
        def keep(_module, _inputs, output):
            if isinstance(output, Tensor):
                outputs.setdefault(name, []).append(output.detach().float().clone())

        return keep

    handles = [module.register_forward_hook(hook(name)) for name, module in model.named_modules() if name]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def first_difference(ours: dict[str, list[Tensor]], official: dict[str, list[Tensor]], tolerance: float) -> str | None:
    """The first layer whose output differs by more than the tolerance, in the order of our calls; None if all agree.

    A layer that one side calls and the other does not cannot be compared; one of another shape counts as different.
    """
    for name, calls in ours.items():
        for index, (mine, theirs) in enumerate(zip(calls, official.get(name, []), strict=False)):
            if mine.shape != theirs.shape and mine.shape[1:] == theirs.shape[1:] and len(mine) == 1:
                mine = mine.expand_as(theirs)  # one image for several objects, where the official package copies it
            if mine.numel() != theirs.numel():
                return f"{name} (call {index}) has shape {tuple(mine.shape)}, not {tuple(theirs.shape)}"
            gap = (mine.reshape(theirs.shape) - theirs).abs().max().item()
            if not gap <= tolerance:
                return f"{name} (call {index}) differs by {gap:.3g}"
    return None


def largest_gap(a: Tensor, b: Tensor) -> float:
    """The largest absolute difference of two tensors of one shape."""
    assert a.shape == b.shape, (a.shape, b.shape)
    return (a.float() - b.float()).abs().max().item()


def assert_tracked_alike(theirs, ours, frames: int) -> None:
    """Fail unless two video predictors track an object of the sample alike, from its first mask."""
    from sam2nb.evaluation.datasets import open_clips

    theirs.fill_hole_area = ours.fill_hole_area = 0
    ours.progress = False
    sample = open_clips()[0]
    first = sample.mask(0, sample.objects[0])
    tracks = []
    for predictor in (theirs, ours):
        state = predictor.init_state(str(sample.frames[0].parent))
        predictor.add_new_mask(state, 0, 1, first)
        tracks.append([logits for _, _, logits in predictor.propagate_in_video(state, max_frame_num_to_track=frames)])
    for expected, got in zip(*tracks, strict=True):
        assert ((expected > 0) == (got > 0)).float().mean() >= 0.999
    assert (tracks[1][-1] > 0).any()
