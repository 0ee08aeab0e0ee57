"""Live widgets for the notebook: prompts and thresholds."""

from sam2nb.widgets.prompt import PromptWidget
from sam2nb.widgets.thresholds import ThresholdExplorer

__all__ = ["PromptWidget", "ThresholdExplorer"]
