"""What travels between the boxes of SAM 2: frozen records, no logic.

Shapes use one notation everywhere: B images or objects, N prompts or tokens, M masks, (h, w) the
coarsest feature grid (one sixteenth of the model's input side S).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ImageFeatures:
    """What the image encoder knows about B pictures, before any prompt or memory.

    embedding: (B, 256, h, w), stride 16.
    position: (1, 256, h, w), the sine code of that grid.
    high_res: (B, 32, 4h, 4w) and (B, 64, 2h, 2w), already reduced for the mask decoder.
    """

    embedding: Tensor
    position: Tensor
    high_res: tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Prompts:
    """What the user said about B objects.

    points: (B, N, 2) as (x, y) in pixels of the model's input, or None.
    labels: (B, N) integers: 1 include, 0 exclude, 2 and 3 the corners of a box, -1 padding.
    masks: (B, 1, 4h, 4w) logits of an earlier answer, or None.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    masks: Tensor | None = None


@dataclass(frozen=True)
class MaskPrediction:
    """M answers for each of B objects.

    logits: (B, M, 4h, 4w), positive inside the object.
    iou: (B, M), the model's own estimate of its quality.
    tokens: (B, M, 256), the decoder's summary of each answer (becomes the object pointer).
    object_score: (B, 1), positive where the object is in the picture.
    """

    logits: Tensor
    iou: Tensor
    tokens: Tensor
    object_score: Tensor


@dataclass(frozen=True)
class FrameMemory:
    """What is remembered of one object on one frame of a video.

    features: (B, 64, h, w) in bfloat16, the memory encoder's map.
    pointer: (B, 256), the object pointer.
    object_score: (B, 1).
    mask_logits: (B, 1, 4h, 4w), the answer itself.
    """

    features: Tensor
    pointer: Tensor
    object_score: Tensor
    mask_logits: Tensor


@dataclass(frozen=True)
class Recollection:
    """The memories that one frame attends to, in order.

    spatial: (features (B, 64, h, w), row of the time table) pairs.
    pointers: (pointer (B, 256), signed distance in frames) pairs.
    pointer_span: the distance that the time code calls 1.
    """

    spatial: tuple[tuple[Tensor, int], ...]
    pointers: tuple[tuple[Tensor, int], ...]
    pointer_span: int
