"""`Sam2Model`: our model behind the signature of Hugging Face transformers.

What their documentation teaches for images works after changing the import. `save_pretrained` writes folders that
transformers loads, its video classes included. One difference: points that only pad a batch are left out (in
transformers they take part in attention and change the masks a little).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sam2nb.huggingface.pretrained import PretrainedModel
from sam2nb.huggingface.prompts import PADDING
from sam2nb.predict.precision import computing
from sam2nb.structures import BOX_CORNER_LABELS, NO_OBJECT_LOGIT, PADDING_LABEL, MaskPrediction, Prompts
from sam2nb.weights.checkpoint import SCORE_HEAD

SURELY_ABSENT = -1e3  # object score of a row that holds no object
FIELDS = ("logits", "iou", "tokens", "object_score")  # of MaskPrediction


class Sam2Output(NamedTuple):
    """The result of `Sam2Model` for B images with N objects each, M masks per object.

    iou_scores: (B, N, M). pred_masks: (B, N, M, 4h, 4w) logits. object_score_logits: (B, N, 1), NaN where the weights
    are image-only. image_embeddings: (B, 32, 4h, 4w), (B, 64, 2h, 2w), (B, 256, h, w), as `forward` takes them.
    """

    iou_scores: Tensor
    pred_masks: Tensor
    object_score_logits: Tensor
    image_embeddings: list[Tensor]


class Sam2Model(PretrainedModel):
    """Our model behind the signature of transformers' `Sam2Model`.

    config: a `Sam2Config` for random weights; `from_pretrained` for trained ones.
    """

    @torch.no_grad()
    def get_image_embeddings(self, pixel_values: Tensor) -> list[Tensor]:
        """Encode images: pixel_values (B, 3, S, S) -> the three maps that `forward` takes as image_embeddings."""
        return self._encode(pixel_values)

    def _encode(self, pixel_values: Tensor) -> list[Tensor]:
        with computing(self.sam2):
            features = self.sam2.encode_image(pixel_values)
            return [*features.high_res, self.sam2.recall(features)]

    def forward(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: Sequence[Tensor] | None = None,
        multimask_output: bool = True,
        original_sizes: Any = None,
        labels: Any = None,
    ) -> Sam2Output:
        """Predict masks for N objects in each of B images; prompts as `Sam2Processor` returns them.

        input_masks: (B, 1 or N, height, width), logits of an earlier prediction, of any size. original_sizes and
        labels are accepted so that `model(**inputs)` works, and ignored. Raises ValueError unless exactly one of
        pixel_values and image_embeddings is given.
        """
        if (pixel_values is None) == (image_embeddings is None):
            raise ValueError("give exactly one of pixel_values and image_embeddings")
        maps = self._encode(pixel_values) if image_embeddings is None else list(image_embeddings)
        points, labels = _as_points(input_points, input_labels, input_boxes, len(maps[-1]), self.device)
        predictions = []
        for index in range(len(maps[-1])):
            *high_res, coarse = (level[index : index + 1] for level in maps)
            masks = None if input_masks is None else _mask_prompt(input_masks[index], len(points[index]), high_res[0])
            prompts = Prompts(points[index], labels[index], masks)
            predictions.append(self._predict(coarse, tuple(high_res), prompts, multimask_output))
        logits, ious, _, scores = (torch.stack([getattr(p, field) for p in predictions]) for field in FIELDS)
        if SCORE_HEAD in self.sam2.missing_parts:
            scores = torch.full_like(scores, float("nan"))
        return Sam2Output(ious, logits, scores, maps)

    def _predict(
        self, coarse: Tensor, high_res: tuple[Tensor, Tensor], prompts: Prompts, multimask: bool
    ) -> MaskPrediction:
        """Masks for the N objects of one image; those with equally many points go through the decoder together."""
        is_point = prompts.labels != PADDING
        counts = is_point.sum(dim=1)
        rows: list[list[Tensor]] = [[] for _ in counts]
        for count in counts.unique().tolist():
            chosen = (counts == count).nonzero().flatten()
            group = Prompts(
                prompts.points[chosen][is_point[chosen]].view(len(chosen), count, 2),
                prompts.labels[chosen][is_point[chosen]].view(len(chosen), count).int(),
                None if prompts.masks is None else prompts.masks[chosen],
            )
            with computing(self.sam2):
                prediction = self.sam2.predict_masks(coarse, high_res, group, multimask)
            for row, index in enumerate(chosen.tolist()):
                rows[index] = [getattr(prediction, field)[row : row + 1] for field in FIELDS]
        rows = [row if count else _no_object(*row) for row, count in zip(rows, counts, strict=True)]
        return MaskPrediction(*(torch.cat(column) for column in zip(*rows, strict=True)))


def _mask_prompt(masks: Tensor, objects: int, fine: Tensor) -> Tensor:
    """Masks (1 or N, height, width) of any size -> (N, 1, 4h, 4w), the size of the finest map."""
    masks = masks[:, None].to(fine.device, torch.float32)
    if masks.shape[-2:] != fine.shape[-2:]:
        masks = F.interpolate(masks, fine.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
    return masks.expand(objects, -1, -1, -1)


def _no_object(logits: Tensor, iou: Tensor, tokens: Tensor, object_score: Tensor) -> list[Tensor]:
    """The row of an object that only makes the tensor rectangular: an empty mask, the score zero."""
    return [
        torch.full_like(logits, NO_OBJECT_LOGIT),
        torch.zeros_like(iou),
        tokens,
        torch.full_like(object_score, SURELY_ABSENT),
    ]


def _as_points(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, images: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """All prompts as points (B, N, P, 2) and labels (B, N, P); a box becomes two points before the others."""
    if points is None and boxes is None:  # transformers pads here too: one padding point means "no prompt"
        return torch.zeros(images, 1, 1, 2, device=device), torch.full((images, 1, 1), PADDING_LABEL, device=device)
    if points is not None:
        points = points.to(device, torch.float32)
        labels = torch.ones(points.shape[:3], device=device) if labels is None else labels.to(device)
    if boxes is None:
        return points, labels
    corners = boxes.to(device, torch.float32).unflatten(-1, (2, 2))
    corner_labels = torch.tensor(BOX_CORNER_LABELS, device=device).expand(corners.shape[:3])
    if points is None:
        return corners, corner_labels
    if points.shape[1] != boxes.shape[1]:
        raise ValueError(f"input_points is for {points.shape[1]} objects, input_boxes for {boxes.shape[1]}")
    return torch.cat((corners, points), dim=2), torch.cat((corner_labels, labels), dim=2)
