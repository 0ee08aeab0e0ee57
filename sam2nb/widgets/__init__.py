"""Live widgets for the notebook: prompts on images and videos, and the masks of everything mode."""

try:
    from sam2nb.widgets.explorer import MaskExplorer
    from sam2nb.widgets.prompt import PromptWidget
    from sam2nb.widgets.video_prompt import VideoPromptWidget
except ModuleNotFoundError as error:
    if error.name not in ("anywidget", "ipywidgets", "traitlets"):
        raise
    raise ModuleNotFoundError(
        "widgets need the packages for notebooks: pip install 'sam2nb[widgets]'", name=error.name
    ) from error

__all__ = ["MaskExplorer", "PromptWidget", "VideoPromptWidget"]
