"""The records that travel between the boxes of SAM 2, and the numbers they agree on.

Shapes use one notation everywhere: B images or objects, N prompts or tokens, M masks, (h, w) the grid of the
image embedding (one sixteenth of the model's input side S).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Labels of points, as trained. A box is two points with the labels of its corners.
PADDING_LABEL, EXCLUDE_LABEL, INCLUDE_LABEL = -1, 0, 1
BOX_CORNER_LABELS = (2, 3)  # top left, bottom right
MASK_STRIDE = 4  # input pixels per pixel of a low-resolution mask
MASK_LOGIT_CLAMP = 32.0  # as in training: low-resolution logits that go back in as a mask prompt
NO_OBJECT_LOGIT = -1024.0  # mask logits of an object that is absent from the frame
UNNAMED = "object"  # the class, in files, of an object without a name

Region = tuple[float, float, float, float]  # part of a frame, x1, y1, x2, y2 in 0..1
WHOLE_FRAME: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class ImageFeatures:
    """Image-encoder output for B images.

    embedding: (B, 256, h, w), stride 16.
    position: (1, 256, h, w), the sine position encoding of that grid.
    high_res: (B, 32, 4h, 4w) and (B, 64, 2h, 2w), already reduced for the mask decoder.
    region: the part of the image that was encoded.
    """

    embedding: Tensor
    position: Tensor
    high_res: tuple[Tensor, Tensor]
    region: Region = WHOLE_FRAME

    def rows(self, index: slice | Tensor) -> ImageFeatures:
        """Select or repeat images: a slice, or (N,) integers -> features of N images"""
        return replace(self, embedding=self.embedding[index], high_res=tuple(level[index] for level in self.high_res))

    def float(self) -> ImageFeatures:
        """The same in float32; itself if it is."""
        if {part.dtype for part in (self.embedding, self.position, *self.high_res)} == {torch.float32}:
            return self
        high_res = tuple(level.float() for level in self.high_res)
        return replace(self, embedding=self.embedding.float(), position=self.position.float(), high_res=high_res)


@dataclass(frozen=True)
class Prompts:
    """Prompts for B objects, in the model's coordinates.

    points: (B, N, 2) as (x, y) in pixels of the model's input, or None.
    labels: (B, N) integers: 1 include, 0 exclude, 2 and 3 the corners of a box, -1 padding.
    masks: (B, 1, 4h, 4w) logits of an earlier prediction, or None.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    masks: Tensor | None = None

    @classmethod
    def padding(cls, count: int, device: torch.device, masks: Tensor | None = None) -> Prompts:
        """An empty prompt for `count` objects: one padding point each, as on tracked frames."""
        labels = torch.full((count, 1), PADDING_LABEL, dtype=torch.int32, device=device)
        return cls(torch.zeros(count, 1, 2, device=device), labels, masks)


@dataclass(frozen=True)
class MaskPrediction:
    """M masks for each of B objects.

    logits: (B, M, 4h, 4w), positive inside the object.
    iou: (B, M), predicted IoU of each mask, 0 to 1.
    tokens: (B, M, 256), the mask tokens after the decoder (the object pointer is made of one).
    object_score: (B, 1), positive where the object is present.
    """

    logits: Tensor
    iou: Tensor
    tokens: Tensor
    object_score: Tensor


@dataclass(frozen=True)
class FrameMemory:
    """The memory of B objects on one frame; in a memory bank, of one object.

    features: (B, 64, h, w) in bfloat16, the memory encoder's map.
    pointer: (B, 256), the object pointer.
    object_score: (B, 1).
    mask_logits: (B, 1, 4h, 4w), the predicted mask.
    region: the part of the frame that the maps show.
    """

    features: Tensor
    pointer: Tensor
    object_score: Tensor
    mask_logits: Tensor
    region: Region = WHOLE_FRAME

    def stored(self, device: torch.device) -> FrameMemory:
        """The same with its maps on another device."""
        return replace(self, features=self.features.to(device), mask_logits=self.mask_logits.to(device))

    def split(self) -> list[FrameMemory]:
        """The memory of each object, in storage of its own, so that it can be dropped alone."""
        parts = (self.features, self.pointer, self.object_score, self.mask_logits)
        return [FrameMemory(*row, region=self.region) for row in zip(*map(own_rows, parts), strict=True)]


def own_rows(batch: Tensor) -> list[Tensor]:
    """The rows of a batch, each (1, …) and in storage of its own."""
    return [batch] if len(batch) == 1 else [batch[row : row + 1].clone() for row in range(len(batch))]


@dataclass(frozen=True)
class Recollection:
    """The memories that one frame attends to, in order.

    spatial: (features (B, 64, h, w), row of the temporal position table) pairs.
    pointers: (pointer (B, 256), signed distance in frames) pairs.
    pointer_span: the distance in frames at which the time encoding reaches 1.
    """

    spatial: tuple[tuple[Tensor, int], ...]
    pointers: tuple[tuple[Tensor, int], ...]
    pointer_span: int
