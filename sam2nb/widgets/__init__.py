"""Live prompting in the notebook."""

from sam2nb.widgets.prompt import PromptWidget
from sam2nb.widgets.thresholds import ThresholdExplorer

__all__ = ["PromptWidget", "ThresholdExplorer"]
