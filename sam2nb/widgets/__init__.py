"""Live widgets for the notebook: prompts and thresholds."""

try:
    from sam2nb.widgets.prompt import PromptWidget
    from sam2nb.widgets.thresholds import ThresholdExplorer
except ModuleNotFoundError as error:
    if error.name not in ("anywidget", "ipywidgets", "traitlets"):
        raise
    raise ModuleNotFoundError(
        "widgets need the packages for notebooks: pip install 'sam2nb[lab]'", name=error.name
    ) from error

__all__ = ["PromptWidget", "ThresholdExplorer"]
