"""A memory that works before it has learned anything: weights set by hand and by least squares, not by gradient.

The memory parts of the small model have no trained ancestor. But what they must do is known, so they start near it:

- a memory cell holds what the picture looks like there (main components of its embedding) and what the mask says;
- a frame's cell looks for memory cells that look alike and are not far away: alike through the slow pairs of the rotary
  code, which hardly turn within a grid, near through faster pairs, whose queries and keys are one constant;
- what is found is added as the map that the prompt encoder makes of a mask, a language the mask decoder already knows.

Training then starts from a soft nearest-neighbour tracker instead of from noise (SAM 2, arXiv 2408.00714, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sam2nb.model.layers import to_tokens
from sam2nb.model.sam2 import MEMORY_BIAS, MEMORY_SCALE, SAM2

LOOK, SAID = 48, 16  # channels of a memory cell: for looks, for the mask; together 64
LOOK_SIZE = 3.0  # standard deviation of a look channel: well above the sine code that keys carry
SHARPNESS = 40.0  # of the comparison of looks, in units of the scores' logits
NEARNESS = 6.0  # by how many logits a cell at the same place is preferred to a far one
NEAR_PAIRS = range(18, 30)  # rotary pairs of 64 per axis that tell places a few cells apart
SLOW_PAIRS = range(40, 64)  # rotary pairs that tell nothing
PRESENT = 3.0  # bias of the object score: there, until taught otherwise


@torch.no_grad()
def warm_start_memory(model: SAM2, pixels: Tensor, masks: Tensor) -> None:
    """Set memory encoder, memory attention and object pointers of a model whose image path already works.

    pixels: (N, 3, S, S), any pictures; masks: (N, 1, S, S), 0 or 1, any masks on them. Needs a few dozen of each.
    """
    features = model.encode_image(pixels)
    embedding = to_tokens(features.embedding).flatten(0, 1)
    low = torch.nn.functional.avg_pool2d(masks, 4) * MEMORY_SCALE + MEMORY_BIAS
    said = model.sam_prompt_encoder.mask_downscaling(low) - model.sam_prompt_encoder.no_mask_embed.weight.view(
        1, -1, 1, 1
    )
    looks = Components(embedding, LOOK)
    words = Components(to_tokens(said).flatten(0, 1), SAID)
    _set_encoder(model, looks, words, masks, to_tokens(said))
    _set_attention(model, looks, words, embedding + model.no_mem_embed.view(1, -1))
    _quieten(model)


class Components:
    """Main components of rows (N, C): `encode` gives `count` channels of unit spread, `decode` goes back."""

    def __init__(self, rows: Tensor, count: int) -> None:
        self.mean = rows.mean(0)
        _, values, directions = torch.linalg.svd(rows - self.mean, full_matrices=False)
        spread = values[:count] / len(rows) ** 0.5
        self.encode = directions[:count] / spread.clamp(min=1e-3 * float(spread[0]))[:, None]  # (count, C)
        self.decode = directions[:count].T * spread  # (C, count)


def _set_encoder(model: SAM2, looks: Components, words: Components, masks: Tensor, said: Tensor) -> None:
    """Looks into the first 48 channels, the mask's words into the other 16; the mixing blocks begin as identity."""
    box = model.memory_encoder
    zero(box.pix_feat_proj, box.out_proj)
    box.pix_feat_proj.weight[:LOOK, :, 0, 0] = LOOK_SIZE * looks.encode
    box.pix_feat_proj.bias[:LOOK] = -LOOK_SIZE * looks.encode @ looks.mean
    box.out_proj.weight[:, :, 0, 0].fill_diagonal_(1.0)
    *layers, last = box.mask_downsampler.encoder
    seen = to_tokens(nn.Sequential(*layers)(masks * MEMORY_SCALE + MEMORY_BIAS)).flatten(0, 1)
    wanted = (said.flatten(0, 1) - words.mean) @ words.encode.T
    solution = least_squares(seen, wanted)
    zero(last)
    last.weight[LOOK : LOOK + SAID, :, 0, 0] = solution[:-1].T
    last.bias[LOOK : LOOK + SAID] = solution[-1]


def _set_attention(model: SAM2, looks: Components, words: Components, tokens: Tensor) -> None:
    """One layer compares looks and places and says the words of what it found; the others begin as identity."""
    box = model.memory_attention
    for layer in box.layers:
        zero(layer.self_attn.out_proj, layer.linear2, layer.cross_attn_image.out_proj)
    attention = box.layers[0].cross_attn_image
    norm = box.layers[0].norm2
    zero(attention.q_proj, attention.k_proj, attention.v_proj)
    # normalised tokens -> looks, by least squares: what the norm takes away is not linear
    normed = torch.nn.functional.layer_norm(tokens, tokens.shape[-1:]) * norm.weight + norm.bias
    look = (tokens - model.no_mem_embed.view(1, -1) - looks.mean) @ looks.encode.T
    solution = least_squares(normed, look)
    slots = _channels(SLOW_PAIRS)[:LOOK]
    width = attention.q_proj.out_features
    gain = (SHARPNESS * width**0.5 / LOOK) ** 0.5  # alike looks (product about LOOK) score SHARPNESS
    attention.q_proj.weight[slots] = gain * solution[:-1].T
    attention.q_proj.bias[slots] = gain * solution[-1]
    attention.k_proj.weight[slots, torch.arange(LOOK)] = gain / LOOK_SIZE
    near = _channels(NEAR_PAIRS)[::2]  # the real part of each pair; its rotation is the place
    strength = (NEARNESS * width**0.5 / len(near)) ** 0.5
    attention.q_proj.bias[near] = strength
    attention.k_proj.bias[near] = strength
    attention.v_proj.weight[:SAID, LOOK : LOOK + SAID] = torch.eye(SAID)
    attention.out_proj.weight[:, :SAID] = words.decode
    attention.out_proj.bias.copy_(words.mean)
    # the last norm must give back what comes in, as far as one factor and one summand per channel can
    plain = torch.nn.functional.layer_norm(tokens, tokens.shape[-1:])
    centred = plain - plain.mean(0)
    slope = (centred * (tokens - tokens.mean(0))).sum(0) / centred.square().sum(0).clamp(min=1e-6)
    box.norm.weight.copy_(slope)
    box.norm.bias.copy_(tokens.mean(0) - slope * plain.mean(0))


def _quieten(model: SAM2) -> None:
    """What nobody can set by hand begins without a say: pointers are zero, objects are there."""
    zero(model.obj_ptr_proj.layers[-1], model.sam_mask_decoder.pred_obj_score_head.layers[-1])
    model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias.fill_(PRESENT)
    if model.no_obj_embed_spatial is not None:
        model.no_obj_embed_spatial.zero_()
    model.maskmem_tpos_enc.zero_()


def _channels(pairs: Iterable[int]) -> Tensor:
    """Channels of rotary pairs, for both axes: x in the first half, y in the second"""
    first = torch.tensor([channel for pair in pairs for channel in (2 * pair, 2 * pair + 1)])
    return torch.cat((first, first + 128))


def least_squares(rows: Tensor, wanted: Tensor, ridge: float = 1e-3) -> Tensor:
    """(N, C), (N, D) -> (C + 1, D): the linear map, its summand in the last row"""
    rows = torch.cat((rows, rows.new_ones(len(rows), 1)), 1).double()
    square = rows.T @ rows
    square += ridge * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    return torch.linalg.solve(square, rows.T @ wanted.double()).float()


def zero(*layers: nn.Module) -> None:
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()
