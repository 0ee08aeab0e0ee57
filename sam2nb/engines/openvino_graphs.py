"""The boxes of SAM 2 as functions of plain tensors, in the form that OpenVINO compiles.

One class for each box that is replaced. The image's size is fixed, and with it the grid (h, w) = (S/16, S/16); the
numbers of memories and of pointer tokens are free. One image and one object at a time, all numbers float32.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from sam2nb.model.sam2 import EMBEDDING_STRIDE, SAM2

FREE = -1
Shape = tuple[int, ...]


class Graph(nn.Module):
    """One box. name: in messages and of its file. model: as `onnx_graphs.exportable` returns it."""

    name: ClassVar[str]

    def __init__(self, model: SAM2) -> None:
        super().__init__()
        self.model = model
        self.side = model.image_size // EMBEDDING_STRIDE

    def shapes(self) -> list[Shape]:
        """The shapes of the inputs, with -1 for what is free."""
        raise NotImplementedError

    def example(self) -> list[Tensor]:
        """Inputs to trace the box with: two memories, or two times as many pointer tokens as cells of the grid."""
        tokens = 2 * self.side**2
        return [torch.randn(*(tokens if size == FREE else size for size in shape)) for shape in self.shapes()]


class ImageEncoderGraph(Graph):
    """`SAM2.encode_image`: pixels (1, 3, S, S) -> embedding, and the two finer maps of ImageFeatures"""

    name = "image encoder"

    def shapes(self) -> list[Shape]:
        return [(1, 3, self.model.image_size, self.model.image_size)]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        features = self.model.encode_image(pixels)
        return (features.embedding, *features.high_res)


class MemoryAttentionGraph(Graph):
    """`MemoryAttention.forward` for one object, with memory maps and pointer tokens apart: -> (1, h*w, 256)"""

    name = "memory attention"

    def shapes(self) -> list[Shape]:
        tokens, memory = (1, self.side**2, self.model.hidden_dim), (1, FREE, self.model.mem_dim)
        return [tokens, tokens, memory, memory, memory, memory]

    def forward(
        self,
        tokens: Tensor,
        position: Tensor,
        maps: Tensor,
        maps_position: Tensor,
        pointers: Tensor,
        pointers_position: Tensor,
    ) -> Tensor:
        memory, memory_position = torch.cat((maps, pointers), 1), torch.cat((maps_position, pointers_position), 1)
        size_hw = (self.side, self.side)
        return self.model.memory_attention(tokens, position, memory, memory_position, size_hw, pointers.shape[1])


class MemoryEncoderGraph(Graph):
    """`MemoryEncoder.forward` for one object: embedding (1, 256, h, w), mask (1, 1, S, S) -> (1, 64, h, w)"""

    name = "memory encoder"

    def shapes(self) -> list[Shape]:
        side = self.model.image_size
        return [(1, self.model.hidden_dim, self.side, self.side), (1, 1, side, side)]

    def forward(self, embedding: Tensor, mask: Tensor) -> Tensor:
        return self.model.memory_encoder(embedding, mask)
