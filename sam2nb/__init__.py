"""sam2nb: learn, teach and use Segment Anything 2 (SAM 2 and 2.1).

    from sam2nb import SAM2ImagePredictor, load_model
    predictor = SAM2ImagePredictor(load_model("sam2_hiera_tiny"))
    predictor.set_image("photo.jpg")
    masks, scores, logits = predictor.predict(point_coords=[[500, 375]], point_labels=[1])

Names and arguments are those of the official package. Importing sam2nb loads no torch and has no global effects.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "build_sam2": "sam2nb.build",
    "build_sam2_hf": "sam2nb.build",
    "load_model": "sam2nb.build",
    "build_sam2_video_predictor": "sam2nb.predict.video.build",
    "build_sam2_video_predictor_hf": "sam2nb.predict.video.build",
    "SAM2": "sam2nb.model.sam2",
    "SAM2ImagePredictor": "sam2nb.predict.image",
    "SAM2AutomaticMaskGenerator": "sam2nb.predict.everything.generator",
    "SAM2VideoPredictor": "sam2nb.predict.video.predictor",
    "track_everything": "sam2nb.predict.video.everything",
    "EverythingStream": "sam2nb.predict.video.everything",
    "segment_like": "sam2nb.predict.video.like",
    "segment_volume": "sam2nb.predict.video.volume",
    "VolumeSlices": "sam2nb.media.volume",
    "load_checkpoint": "sam2nb.weights.checkpoint",
    "save_checkpoint": "sam2nb.weights.checkpoint",
    "download": "sam2nb.weights.download",
    "CHECKPOINTS": "sam2nb.weights.registry",
}
__all__ = [  # in full, for type checkers
    "build_sam2",
    "build_sam2_hf",
    "load_model",
    "build_sam2_video_predictor",
    "build_sam2_video_predictor_hf",
    "SAM2",
    "SAM2ImagePredictor",
    "SAM2AutomaticMaskGenerator",
    "SAM2VideoPredictor",
    "track_everything",
    "EverythingStream",
    "segment_like",
    "segment_volume",
    "VolumeSlices",
    "load_checkpoint",
    "save_checkpoint",
    "download",
    "CHECKPOINTS",
    "__version__",
]

if TYPE_CHECKING:
    from sam2nb.build import build_sam2, build_sam2_hf, load_model
    from sam2nb.media.volume import VolumeSlices
    from sam2nb.model.sam2 import SAM2
    from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator
    from sam2nb.predict.image import SAM2ImagePredictor
    from sam2nb.predict.video.build import build_sam2_video_predictor, build_sam2_video_predictor_hf
    from sam2nb.predict.video.everything import EverythingStream, track_everything
    from sam2nb.predict.video.like import segment_like
    from sam2nb.predict.video.predictor import SAM2VideoPredictor
    from sam2nb.predict.video.volume import segment_volume
    from sam2nb.weights.checkpoint import load_checkpoint, save_checkpoint
    from sam2nb.weights.download import download
    from sam2nb.weights.registry import CHECKPOINTS


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sam2nb' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
