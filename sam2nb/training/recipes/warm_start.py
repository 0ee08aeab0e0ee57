"""A memory that works before training: its weights are set by hand and by least squares.

The memory parts of the small model have no trained ancestor, but their task is known, so they start near a solution:

- a memory token holds the appearance of the image at its position (principal components of the embedding) and the
  mask there (principal components of the prompt encoder's mask embedding);
- an image token attends to memory tokens of similar appearance nearby: appearance is compared in the slow pairs of
  the rotary code, which hardly rotate within a grid; distance in faster pairs, whose queries and keys are constant;
- the attended mask components are added as a mask embedding, which the mask decoder already reads.

Training then starts from a soft nearest-neighbour tracker instead of from noise (SAM 2, arXiv 2408.00714, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.model.layers import to_tokens
from sam2nb.model.sam2 import MASK_PROMPT_BIAS, MASK_PROMPT_SCALE, MEMORY_BIAS, MEMORY_SCALE, SAM2
from sam2nb.structures import MASK_STRIDE

APPEARANCE, MASK = 48, 16  # channels of a memory token for each; together 64
APPEARANCE_SCALE = 3.0  # standard deviation of an appearance channel: well above the sine code added to the keys
APPEARANCE_LOGIT = 40.0  # score of two tokens of equal appearance
NEARNESS_LOGIT = 6.0  # by how much a token at the same position is preferred to a distant one
NEAR_PAIRS = range(18, 30)  # rotary pairs, of 64 per axis, that distinguish positions a few cells apart
SLOW_PAIRS = range(40, 64)  # rotary pairs that distinguish no positions within the grid
AXIS_CHANNELS = 128  # of the rotary code: x in the first half, y in the second
PRESENT_LOGIT = 3.0  # bias of the object score: present, until training says otherwise


@torch.no_grad()
def warm_start_memory(model: SAM2, pixels: Tensor, masks: Tensor) -> None:
    """Set memory encoder, memory attention and object pointers of a model whose image path already works.

    pixels: (N, 3, S, S), any normalised images; masks: (N, 1, S, S), 0 or 1, any masks on them. A few dozen are enough.
    """
    embedding = to_tokens(model.encode_image(pixels).embedding).flatten(0, 1)
    low = F.avg_pool2d(masks, MASK_STRIDE) * MASK_PROMPT_SCALE + MASK_PROMPT_BIAS
    no_mask = model.sam_prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1)
    mask_embedding = to_tokens(model.sam_prompt_encoder.mask_downscaling(low) - no_mask).flatten(0, 1)
    appearance = Components(embedding, APPEARANCE)
    mask_components = Components(mask_embedding, MASK)
    _set_encoder(model, appearance, mask_components, masks, mask_embedding)
    _set_attention(model, appearance, mask_components, embedding + model.no_mem_embed.view(1, -1))
    _silence_the_rest(model)


class Components:
    """Principal components of rows (N, C): `encode` gives `count` channels of unit variance, `decode` inverts it."""

    def __init__(self, rows: Tensor, count: int) -> None:
        self.mean = rows.mean(0)
        _, values, directions = torch.linalg.svd(rows - self.mean, full_matrices=False)
        spread = values[:count] / len(rows) ** 0.5
        self.encode = directions[:count] / spread.clamp(min=1e-3 * float(spread[0]))[:, None]  # (count, C)
        self.decode = directions[:count].T * spread  # (C, count)


def _set_encoder(
    model: SAM2, appearance: Components, mask_components: Components, masks: Tensor, mask_embedding: Tensor
) -> None:
    """Put appearance into the first 48 channels and the mask into the other 16; the fuser's output stays as it is."""
    box = model.memory_encoder
    zero(box.pix_feat_proj, box.out_proj)
    box.pix_feat_proj.weight[:APPEARANCE, :, 0, 0] = APPEARANCE_SCALE * appearance.encode
    box.pix_feat_proj.bias[:APPEARANCE] = -APPEARANCE_SCALE * appearance.encode @ appearance.mean
    box.out_proj.weight[:, :, 0, 0].fill_diagonal_(1.0)
    *layers, last = box.mask_downsampler.encoder
    inputs = to_tokens(nn.Sequential(*layers)(masks * MEMORY_SCALE + MEMORY_BIAS)).flatten(0, 1)
    wanted = (mask_embedding - mask_components.mean) @ mask_components.encode.T
    solution = least_squares(inputs, wanted)
    zero(last)
    last.weight[APPEARANCE : APPEARANCE + MASK, :, 0, 0] = solution[:-1].T
    last.bias[APPEARANCE : APPEARANCE + MASK] = solution[-1]


def _set_attention(model: SAM2, appearance: Components, mask_components: Components, tokens: Tensor) -> None:
    """Let the first layer attend by appearance and distance and add the mask; all other layers add zero.

    tokens: (N, 256), what the first layer reads.
    """
    box = model.memory_attention
    for layer in box.layers:
        zero(layer.self_attn.out_proj, layer.linear2, layer.cross_attn_image.out_proj)
    attention, norm = box.layers[0].cross_attn_image, box.layers[0].norm2
    zero(attention.q_proj, attention.k_proj, attention.v_proj)
    # by least squares from normalised tokens, because the norm is not linear
    normed = F.layer_norm(tokens, tokens.shape[-1:]) * norm.weight + norm.bias
    wanted = (tokens - model.no_mem_embed.view(1, -1) - appearance.mean) @ appearance.encode.T
    _attend_by_appearance(attention, least_squares(normed, wanted))
    _attend_by_distance(attention)
    attention.v_proj.weight[:MASK, APPEARANCE : APPEARANCE + MASK] = torch.eye(MASK)
    attention.out_proj.weight[:, :MASK] = mask_components.decode
    attention.out_proj.bias.copy_(mask_components.mean)
    _undo_norm(box.norm, tokens)


def _attend_by_appearance(attention: nn.Module, to_appearance: Tensor) -> None:
    """Compare the appearance of image and memory in the slow pairs: to_appearance (257, 48), its bias in the last row.

    The product of equal appearances is about 48; the gain makes a score of APPEARANCE_LOGIT of it.
    """
    channels = _channels(SLOW_PAIRS)[:APPEARANCE]
    gain = (APPEARANCE_LOGIT * attention.q_proj.out_features**0.5 / APPEARANCE) ** 0.5
    attention.q_proj.weight[channels] = gain * to_appearance[:-1].T
    attention.q_proj.bias[channels] = gain * to_appearance[-1]
    attention.k_proj.weight[channels, torch.arange(APPEARANCE)] = gain / APPEARANCE_SCALE


def _attend_by_distance(attention: nn.Module) -> None:
    """Prefer nearby positions: constant queries and keys, of which the rotary code makes a function of distance."""
    channels = _channels(NEAR_PAIRS)[::2]  # the real part of each pair
    strength = (NEARNESS_LOGIT * attention.q_proj.out_features**0.5 / len(channels)) ** 0.5
    attention.q_proj.bias[channels] = strength
    attention.k_proj.bias[channels] = strength


def _undo_norm(norm: nn.LayerNorm, tokens: Tensor) -> None:
    """Let a norm return its input (N, C), as far as one factor and one offset per channel can."""
    plain = F.layer_norm(tokens, tokens.shape[-1:])
    centred = plain - plain.mean(0)
    slope = (centred * (tokens - tokens.mean(0))).sum(0) / centred.square().sum(0).clamp(min=1e-6)
    norm.weight.copy_(slope)
    norm.bias.copy_(tokens.mean(0) - slope * plain.mean(0))


def _silence_the_rest(model: SAM2) -> None:
    """Zero what cannot be set by hand: pointers, time encodings, absent objects; every object counts as present."""
    score_head = model.sam_mask_decoder.pred_obj_score_head.layers[-1]
    zero(model.obj_ptr_proj.layers[-1], score_head)
    score_head.bias.fill_(PRESENT_LOGIT)
    if model.no_obj_embed_spatial is not None:
        model.no_obj_embed_spatial.zero_()
    model.maskmem_tpos_enc.zero_()


def _channels(pairs: Iterable[int]) -> Tensor:
    """The channels of rotary pairs on both axes."""
    first = torch.tensor([channel for pair in pairs for channel in (2 * pair, 2 * pair + 1)])
    return torch.cat((first, first + AXIS_CHANNELS))


def least_squares(rows: Tensor, wanted: Tensor, ridge: float = 1e-3) -> Tensor:
    """Fit a linear map: rows (N, C), wanted (N, D) -> (C + 1, D), its bias in the last row"""
    rows = torch.cat((rows, rows.new_ones(len(rows), 1)), 1).double()
    square = rows.T @ rows
    square += ridge * square.diagonal().mean() * torch.eye(len(square), dtype=square.dtype)
    return torch.linalg.solve(square, rows.T @ wanted.double()).float()


def zero(*layers: nn.Module) -> None:
    """Set weights and biases to zero, in place."""
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()
