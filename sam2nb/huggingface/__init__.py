"""The calling convention of the Hugging Face documentation, on our model."""

from sam2nb.huggingface.config import Sam2Config
from sam2nb.huggingface.model import Sam2Model
from sam2nb.huggingface.processor import Sam2Inputs, Sam2Processor

__all__ = ["Sam2Config", "Sam2Inputs", "Sam2Model", "Sam2Processor"]
