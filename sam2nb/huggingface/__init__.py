"""The calling convention of the Hugging Face documentation, on our model: images and videos."""

from sam2nb.huggingface.config import Sam2Config
from sam2nb.huggingface.model import Sam2Model
from sam2nb.huggingface.processor import Sam2Inputs, Sam2Processor
from sam2nb.huggingface.session import Sam2VideoInferenceSession
from sam2nb.huggingface.video_model import Sam2VideoModel, Sam2VideoOutput
from sam2nb.huggingface.video_processor import Sam2VideoProcessor

__all__ = [
    "Sam2Config",
    "Sam2Inputs",
    "Sam2Model",
    "Sam2Processor",
    "Sam2VideoInferenceSession",
    "Sam2VideoModel",
    "Sam2VideoOutput",
    "Sam2VideoProcessor",
]
