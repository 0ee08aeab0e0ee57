"""The boxes of SAM 2 as functions of plain tensors, which is the form that ONNX can hold.

One class for each file of an export. The names of the arguments of `forward` are those of the file's inputs; `outputs`
names what comes out, `free` the axes whose length is free. Everything else is fixed by the model's input side S: grids
are (h, w) = (S/16, S/16), masks (4h, 4w).

| file | inputs | outputs |
|---|---|---|
| image_encoder | pixels (1, 3, S, S) | embedding, conditioned (1, 256, h, w), stride4 (1, 32, 4h, 4w), stride8 (1, 64, 2h, 2w) |
| mask_decoder | conditioned (1 or B, 256, h, w), stride4, stride8 (1 or B, …), points (B, N, 2), labels (B, N) int64, mask_input (B, 1, 4h, 4w), has_mask (B, 1) bool | logits (B, 4, 4h, 4w), iou (B, 4), pointers (B, 4, 256), object_score (B, 1) |
| memory_attention | embedding (1, 256, h, w), memories (B, M, 64, h, w), rows (M,) int64, pointers (B, P, 256), distances (P,) | conditioned (B, 256, h, w) |
| memory_encoder | embedding (1, 256, h, w), logits (B, 1, 4h, 4w), object_score (B, 1), from_prompt (B, 1) bool | memory (B, 64, h, w) |

Numbers are float32 unless said otherwise. B objects, N points, M memories and P object pointers are free.
"""  # noqa: E501  (a table)

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.engines.real_rope import use_real_rope
from sam2nb.model.layers import to_map, to_tokens
from sam2nb.model.mask_decoder import take_stable_single_mask
from sam2nb.model.positional import time_encoding
from sam2nb.model.sam2 import EMBEDDING_STRIDE, SAM2
from sam2nb.structures import MASK_STRIDE, ImageFeatures, Prompts

EXAMPLE_OBJECTS, EXAMPLE_POINTS, EXAMPLE_MEMORIES, EXAMPLE_POINTERS = 2, 3, 2, 3  # of the inputs that are traced
OBJECTS = "objects"


def exportable(model: SAM2) -> SAM2:
    """A copy of a model on the CPU in the form that can be traced: no complex numbers, positions as constants."""
    model = deepcopy(model).cpu().eval().requires_grad_(False)
    side = model.image_size // EMBEDDING_STRIDE
    use_real_rope(model, (side, side))
    trunk = model.image_encoder.trunk
    stride4 = model.image_size // MASK_STRIDE
    trunk.register_buffer("position_table", type(trunk).position(trunk, (stride4, stride4)), persistent=False)
    trunk.position = lambda size_hw: trunk.position_table
    return model


class Graph(nn.Module):
    """One file of an export.

    name: of the file, without its suffix. outputs: names, in order. free: the free axes of an input or output.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]
    free: ClassVar[dict[str, dict[int, str]]]

    def __init__(self, model: SAM2) -> None:
        super().__init__()
        self.model = model
        self.side = model.image_size // EMBEDDING_STRIDE

    def example(self) -> dict[str, Tensor]:
        """Random inputs by name, to trace the graph with and to check it."""
        raise NotImplementedError

    def grid(self, channels: int, scale: int = 1, batch: int = 1) -> Tensor:
        """A random map on the grid, `scale` times as fine: -> (batch, channels, scale * h, scale * w)"""
        return torch.randn(batch, channels, scale * self.side, scale * self.side)


class ImageEncoderGraph(Graph):
    """`SAM2.encode_image`, and `SAM2.recall` without memories, which is all that a still image needs."""

    name = "image_encoder"
    outputs = ("embedding", "conditioned", "stride4", "stride8")
    free: ClassVar = {}

    def example(self) -> dict[str, Tensor]:
        return {"pixels": torch.randn(1, 3, self.model.image_size, self.model.image_size)}

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """pixels: (1, 3, S, S), normalised -> embedding, conditioned (1, 256, h, w), stride4, stride8"""
        features = self.model.encode_image(pixels)
        return features.embedding, self.model.recall(features), *features.high_res


class MaskDecoderGraph(Graph):
    """`SAM2.predict_all_masks` and `SAM2.object_pointer`.

    Mask 0 is the one for an unambiguous prompt, with the best of the others in its place where it is unstable; masks 1
    to 3 are those for an ambiguous prompt.
    """

    name = "mask_decoder"
    outputs = ("logits", "iou", "pointers", "object_score")
    free: ClassVar = {
        **{name: {0: "images"} for name in ("conditioned", "stride4", "stride8")},
        **{name: {0: OBJECTS, 1: "points"} for name in ("points", "labels")},
        **{name: {0: OBJECTS} for name in ("mask_input", "has_mask", *outputs)},
    }

    def example(self) -> dict[str, Tensor]:
        count = EXAMPLE_OBJECTS
        return {
            "conditioned": self.grid(self.model.hidden_dim),
            "stride4": self.grid(self.model.hidden_dim // 8, 4),
            "stride8": self.grid(self.model.hidden_dim // 4, 2),
            "points": torch.rand(count, EXAMPLE_POINTS, 2) * self.model.image_size,
            "labels": torch.tensor([[1, 0, -1], [2, 3, 1]]),
            "mask_input": self.grid(1, 4, count),
            "has_mask": torch.arange(count)[:, None] % 2 == 0,
        }

    def forward(
        self,
        conditioned: Tensor,
        stride4: Tensor,
        stride8: Tensor,
        points: Tensor,
        labels: Tensor,
        mask_input: Tensor,
        has_mask: Tensor,
    ) -> tuple[Tensor, ...]:
        """-> logits (B, 4, 4h, 4w), iou (B, 4), pointers (B, 4, 256), object_score (B, 1)"""
        model, size_hw = self.model, (self.side, self.side)
        # the mask where there is one, else the learned map for none
        sparse, masks = model.sam_prompt_encoder(Prompts(points, labels, mask_input), model.image_size, size_hw)
        none = model.sam_prompt_encoder.embed_masks(None, size_hw)
        dense = torch.where(has_mask[..., None, None], masks, none)
        # one image for all objects, or one for each
        maps = [level.expand(points.shape[0], -1, -1, -1) for level in (conditioned, stride4, stride8)]
        position = model.sam_prompt_encoder.pe_layer(size_hw)
        found = model.sam_mask_decoder(maps[0], position, sparse, dense, tuple(maps[1:]))
        single = take_stable_single_mask(found)
        logits = torch.cat((single.logits, found.logits[:, 1:]), dim=1)
        iou = torch.cat((single.iou, found.iou[:, 1:]), dim=1)
        return logits, iou, model.object_pointer(found.tokens, found.object_score[..., None]), found.object_score


class ImageMaskDecoderGraph(MaskDecoderGraph):
    """The mask decoder of a model for still images only: no object pointers, no object score."""

    outputs = ("logits", "iou")

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """-> logits (B, 4, 4h, 4w), iou (B, 4)"""
        return super().forward(*inputs)[:2]


class MemoryAttentionGraph(Graph):
    """`SAM2.recall` with memories.

    rows: of the temporal position table, one for each memory. distances: of the pointers in time, in units of the
    pointer span, so that 1 is the farthest; a model of the 2.0 generation does not look at them.
    """

    name = "memory_attention"
    outputs = ("conditioned",)
    free: ClassVar = {
        "memories": {0: OBJECTS, 1: "memories"},
        "rows": {0: "memories"},
        "pointers": {0: OBJECTS, 1: "pointers"},
        "distances": {0: "pointers"},
        "conditioned": {0: OBJECTS},
    }

    def example(self) -> dict[str, Tensor]:
        count = EXAMPLE_OBJECTS
        memories = [self.grid(self.model.mem_dim, batch=count) for _ in range(EXAMPLE_MEMORIES)]
        return {
            "embedding": self.grid(self.model.hidden_dim),
            "memories": torch.stack(memories, dim=1),
            "rows": torch.arange(EXAMPLE_MEMORIES),
            "pointers": torch.randn(count, EXAMPLE_POINTERS, self.model.hidden_dim),
            "distances": torch.rand(EXAMPLE_POINTERS),
        }

    def forward(
        self, embedding: Tensor, memories: Tensor, rows: Tensor, pointers: Tensor, distances: Tensor
    ) -> tuple[Tensor]:
        """-> conditioned (B, 256, h, w)"""
        model, size_hw = self.model, (self.side, self.side)
        # memory maps as tokens, with their place in the frame and their age: (B, M * h * w, 64)
        sine = to_tokens(model.memory_position(embedding))
        age = model.maskmem_tpos_enc[rows].flatten(1)[:, None]
        maps = memories.flatten(3).transpose(2, 3).flatten(1, 2)
        places = (sine + age).flatten(0, 1)[None]
        # every object pointer as tokens of the memories' width
        per_pointer = model.hidden_dim // model.mem_dim
        tokens = pointers.unflatten(2, (per_pointer, model.mem_dim)).flatten(1, 2)
        times = self._times(distances).repeat_interleave(per_pointer, dim=0)[None]
        memory, position = torch.cat((maps, tokens), dim=1), torch.cat((places, times), dim=1)
        frame = to_tokens(embedding), to_tokens(model.image_position(embedding))
        conditioned = model.memory_attention(*frame, memory, position, size_hw, tokens.shape[1])
        return (to_map(conditioned, size_hw),)

    def _times(self, distances: Tensor) -> Tensor:
        """Time encoding of the pointers: (P,) -> (P, 64)"""
        if self.model.obj_ptr_tpos_proj is None:
            return 0 * distances[:, None].expand(-1, self.model.mem_dim)
        return self.model.obj_ptr_tpos_proj(time_encoding(distances, self.model.hidden_dim))


class MemoryEncoderGraph(Graph):
    """`SAM2.memorize`; from_prompt: the user prompted the frame, so that its mask is taken as certain."""

    name = "memory_encoder"
    outputs = ("memory",)
    free: ClassVar = {name: {0: OBJECTS} for name in ("logits", "object_score", "from_prompt", "memory")}

    def example(self) -> dict[str, Tensor]:
        count = EXAMPLE_OBJECTS
        return {
            "embedding": self.grid(self.model.hidden_dim),
            "logits": 5 * self.grid(1, 4, count),
            "object_score": torch.arange(count)[:, None] - 0.5,
            "from_prompt": torch.arange(count)[:, None] % 2 == 0,
        }

    def forward(self, embedding: Tensor, logits: Tensor, object_score: Tensor, from_prompt: Tensor) -> tuple[Tensor]:
        """-> memory (B, 64, h, w)"""
        model, side = self.model, self.model.image_size
        full = F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
        # logits whose sigmoid is 0 or 1 stand for a certain mask
        certain = torch.where(full > 0, CERTAIN, -CERTAIN)
        full = torch.where(from_prompt[..., None, None], certain, full)
        features = ImageFeatures(embedding, model.image_position(embedding), ())
        memory = model.memorize(features, full, object_score, from_prompt=False).float()
        # an input that a model of the 2.0 generation does not look at stays an input
        return (memory + 0 * object_score[..., None, None],)


CERTAIN = 100.0  # a logit whose sigmoid is 1 in float32, and whose opposite's is 0 within 1e-43


def graphs_of(model: SAM2) -> list[Graph]:
    """The graphs of a model; of one without weights for video, those for still images only."""
    if model.missing_parts:
        return [ImageEncoderGraph(model), ImageMaskDecoderGraph(model)]
    return [kind(model) for kind in (ImageEncoderGraph, MaskDecoderGraph, MemoryAttentionGraph, MemoryEncoderGraph)]
