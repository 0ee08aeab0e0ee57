"""SAM 2 in the calling convention of Hugging Face transformers: `Sam2Model`, `Sam2Processor`, `Sam2Config`.

What their documentation teaches for pictures works after changing the import; underneath is our model.
`save_pretrained` writes folders that transformers loads, also with its video classes. Differs from transformers:
points that only pad a batch are left out (there they take part in attention and change the masks a little).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sam2nb.build import build_sam2, pick_dtype
from sam2nb.huggingface.processor import PADDING, Sam2Inputs, Sam2Processor
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.precision import autocast_for
from sam2nb.structures import NO_OBJECT_LOGIT, PADDING_LABEL, MaskPrediction, Prompts
from sam2nb.weights.checkpoint import load_checkpoint, loaded_state
from sam2nb.weights.download import download
from sam2nb.weights.files import identify, read_state_file, write_state_file
from sam2nb.weights.names import to_hugging_face
from sam2nb.weights.registry import find_checkpoint

__all__ = ["Sam2Config", "Sam2Inputs", "Sam2Model", "Sam2Output", "Sam2Processor"]

BOX_CORNERS = (2, 3)
# Trunk by size, in the words of transformers' Sam2HieraDetConfig.
TRUNKS = {
    "tiny": {"width": 96, "heads": 1, "blocks": [1, 2, 7, 2], "global": [5, 7, 9], "grid": 7},
    "small": {"width": 96, "heads": 1, "blocks": [1, 2, 11, 2], "global": [7, 10, 13], "grid": 7},
    "base_plus": {"width": 112, "heads": 2, "blocks": [2, 3, 16, 3], "global": [12, 16, 20], "grid": 14},
    "large": {"width": 144, "heads": 2, "blocks": [2, 6, 36, 4], "global": [23, 33, 43], "grid": 7},
}
WINDOWS = {"large": [8, 4, 16, 8]}
USUAL_WINDOWS = [8, 4, 14, 7]


@dataclass(frozen=True)
class Sam2Config:
    """Which SAM 2: the name of a configuration, and the side of its input."""

    config: str = "sam2.1_hiera_t"
    image_size: int = 1024

    @classmethod
    def from_pretrained(cls, name: str) -> Sam2Config:
        """The configuration of a checkpoint: a name, a Hugging Face id, a file or a folder."""
        path = Path(name)
        if not path.exists():
            config = find_checkpoint(name).config
            return cls(config, build_sam2(config, device="meta").image_size)
        identity = read_state_file(path).identity
        if identity is None or identity.config is None:
            raise ValueError(f"{name} fits no configuration: it holds {identity or 'no SAM 2'}")
        notes = path / "config.json"
        if not notes.is_file():
            return cls(identity.config, build_sam2(identity.config, device="meta").image_size)
        content = json.loads(notes.read_text(encoding="utf-8"))
        return cls(identity.config, content.get("prompt_encoder_config", {}).get("image_size", cls.image_size))


class Sam2Output(NamedTuple):
    """What `Sam2Model` returns, for B pictures with N objects each.

    iou_scores: (B, N, M). pred_masks: (B, N, M, 4h, 4w) logits. object_score_logits: (B, N, 1), NaN where the weights
    are image-only. image_embeddings: (B, 32, 4h, 4w), (B, 64, 2h, 2w), (B, 256, h, w), to be fed back.
    """

    iou_scores: Tensor
    pred_masks: Tensor
    object_score_logits: Tensor
    image_embeddings: list[Tensor]


class Sam2Model(nn.Module):
    """Our model behind the signature of transformers' `Sam2Model`.

    config: a `Sam2Config` for random weights; `from_pretrained` for trained ones.
    """

    def __init__(self, config: Sam2Config | None = None) -> None:
        super().__init__()
        self.config = config or Sam2Config()
        size = f"++model.image_size={self.config.image_size}"
        self.sam2: SAM2 = build_sam2(self.config.config, device="cpu", hydra_overrides_extra=[size])

    @classmethod
    def from_pretrained(cls, name: str, dtype: str | torch.dtype = torch.float32) -> Sam2Model:
        """Trained weights by checkpoint name, Hugging Face id, file or folder, on the CPU as in transformers.

        dtype: what the model computes in; weights stay float32.
        """
        model = cls(Sam2Config.from_pretrained(name))
        load_checkpoint(model.sam2, name if Path(name).exists() else download(name))
        model.sam2.compute_dtype = pick_dtype(dtype, torch.device("cpu"))
        return model

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.sam2.device

    @torch.no_grad()
    def get_image_embeddings(self, pixel_values: Tensor) -> list[Tensor]:
        """pixel_values (B, 3, S, S) -> the three maps that `forward` takes as image_embeddings"""
        return self._encode(pixel_values)

    def _encode(self, pixel_values: Tensor) -> list[Tensor]:
        with autocast_for(self.sam2):
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
    ) -> Sam2Output:
        """Masks for N objects in each of B pictures; prompts as `Sam2Processor` returns them.

        input_masks: (B, 1 or N, h, w) logits of an earlier answer. original_sizes is taken so that `model(**inputs)`
        works, and not used. Raises ValueError unless exactly one of pixel_values and image_embeddings is given.
        """
        if (pixel_values is None) == (image_embeddings is None):
            raise ValueError("give exactly one of pixel_values and image_embeddings")
        maps = self._encode(pixel_values) if image_embeddings is None else list(image_embeddings)
        points, labels = _join(input_points, input_labels, input_boxes, len(maps[-1]), self.device)
        answers = []
        for index in range(len(maps[-1])):
            fine, middle, coarse = (level[index : index + 1] for level in maps)
            masks = None if input_masks is None else self._as_prompt(input_masks[index], len(points[index]), fine)
            with autocast_for(self.sam2):
                answers.append(self._ask(coarse, (fine, middle), points[index], labels[index], masks, multimask_output))
        scores = torch.stack([answer.object_score for answer in answers])
        if "sam_mask_decoder.pred_obj_score_head" in self.sam2.missing_parts:
            scores = torch.full_like(scores, float("nan"))
        ious, logits = (torch.stack([getattr(answer, name) for answer in answers]) for name in ("iou", "logits"))
        return Sam2Output(ious, logits, scores, maps)

    def _as_prompt(self, masks: Tensor, objects: int, fine: Tensor) -> Tensor:
        """(1 or N, h, w) of any size -> (N, 1, 4h, 4w)"""
        masks = masks[:, None].to(fine.device, torch.float32)
        if masks.shape[-2:] != fine.shape[-2:]:
            masks = F.interpolate(masks, fine.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
        return masks.expand(objects, -1, -1, -1)

    def _ask(
        self,
        coarse: Tensor,
        high_res: tuple[Tensor, Tensor],
        points: Tensor,
        labels: Tensor,
        masks: Tensor | None,
        multimask: bool,
    ) -> MaskPrediction:
        """N objects of one picture; those with the same number of points go through the decoder together."""
        counts = (labels != PADDING).sum(dim=1)
        rows: list[MaskPrediction | None] = [None] * len(points)
        for count in counts.unique().tolist():
            chosen = (counts == count).nonzero().flatten()
            there = labels[chosen] != PADDING
            prompts = Prompts(
                points[chosen][there].view(len(chosen), count, 2),
                labels[chosen][there].view(len(chosen), count).int(),
                None if masks is None else masks[chosen],
            )
            answer = self.sam2.predict_masks(coarse, high_res, prompts, multimask)
            for row, index in enumerate(chosen.tolist()):
                part = [getattr(answer, name)[row : row + 1] for name in ("logits", "iou", "tokens", "object_score")]
                rows[index] = MaskPrediction(*part) if count else _nothing(*part)
        return MaskPrediction(
            *(torch.cat([getattr(row, name) for row in rows]) for name in ("logits", "iou", "tokens", "object_score"))
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes model.safetensors and config.json as transformers reads them; image-only weights without video parts.

        Raises ValueError where transformers has no such model (our nano).
        """
        folder = Path(folder)
        notes = transformers_config(self.sam2)
        folder.mkdir(parents=True, exist_ok=True)
        write_state_file(folder / "model.safetensors", to_hugging_face(loaded_state(self.sam2)))
        (folder / "config.json").write_text(json.dumps(notes, indent=2) + "\n", encoding="utf-8")


def _nothing(logits: Tensor, iou: Tensor, tokens: Tensor, object_score: Tensor) -> MaskPrediction:
    """The row of an object that was only there to make the tensor rectangular: no mask, no score."""
    return MaskPrediction(
        torch.full_like(logits, NO_OBJECT_LOGIT), torch.zeros_like(iou), tokens, torch.full_like(object_score, -1e3)
    )


def _join(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, pictures: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Boxes become two points that stand before the others -> points (B, N, P, 2), labels (B, N, P)"""
    if points is None and boxes is None:  # as transformers does: one padding token stands for "no prompt"
        return torch.zeros(pictures, 1, 1, 2, device=device), torch.full((pictures, 1, 1), PADDING_LABEL, device=device)
    if points is not None:
        points = points.to(device, torch.float32)
        labels = torch.ones(points.shape[:3], device=device) if labels is None else labels.to(device)
    if boxes is None:
        return points, labels
    corners = boxes.to(device, torch.float32).unflatten(-1, (2, 2))
    corner_labels = torch.tensor(BOX_CORNERS, device=device).expand(corners.shape[:3])
    if points is None:
        return corners, corner_labels
    if points.shape[1] != boxes.shape[1]:
        raise ValueError(f"input_points is for {points.shape[1]} objects, input_boxes for {boxes.shape[1]}")
    return torch.cat((corners, points), dim=2), torch.cat((corner_labels, labels), dim=2)


def transformers_config(model: SAM2) -> dict[str, Any]:
    """The config.json with which transformers builds the same model."""
    identity = identify(model.state_dict())
    if identity is None or identity.size not in TRUNKS:
        raise ValueError(f"transformers has no model like this one: {identity}; it knows {', '.join(TRUNKS)}")
    trunk, side = TRUNKS[identity.size], model.image_size
    widths = [trunk["width"] * 2**stage for stage in range(4)]
    sizes = [[side // stride] * 2 for stride in (4, 8, 16)]
    new = identity.generation == "2.1"
    return {
        "model_type": "sam2_video",
        "architectures": ["Sam2VideoModel"],
        "image_size": side,
        "enable_occlusion_spatial_embedding": new,
        "enable_temporal_pos_encoding_for_object_pointers": new,
        "memory_attention_rope_feat_sizes": sizes[-1],
        "prompt_encoder_config": {"image_size": side},
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_channel_list": widths[::-1],
            "backbone_feature_sizes": sizes,
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": trunk["width"],
                "num_attention_heads": trunk["heads"],
                "image_size": [side, side],
                "blocks_per_stage": trunk["blocks"],
                "embed_dim_per_stage": widths,
                "num_attention_heads_per_stage": [trunk["heads"] * 2**stage for stage in range(4)],
                "global_attention_blocks": trunk["global"],
                "window_size_per_stage": WINDOWS.get(identity.size, USUAL_WINDOWS),
                "window_positional_embedding_background_size": [trunk["grid"]] * 2,
            },
        },
    }
