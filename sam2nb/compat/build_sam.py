"""Builders of models and video predictors, by the names of `sam2.build_sam`."""

from sam2nb.build import build_sam2, build_sam2_hf
from sam2nb.predict.video.build import build_sam2_video_predictor, build_sam2_video_predictor_hf
from sam2nb.weights.registry import CHECKPOINTS

HF_MODEL_ID_TO_FILENAMES = {
    checkpoint.hugging_face: (
        f"configs/sam{checkpoint.generation.removesuffix('.0')}/{checkpoint.config}.yaml",
        f"{checkpoint.name}.pt",
    )
    for checkpoint in CHECKPOINTS.values()
    if checkpoint.hugging_face
}

__all__ = [
    "HF_MODEL_ID_TO_FILENAMES",
    "build_sam2",
    "build_sam2_hf",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
]
