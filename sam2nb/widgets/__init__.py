"""Live widgets for the notebook: prompts, and the masks of everything mode."""

try:
    from sam2nb.widgets.explorer import MaskExplorer
    from sam2nb.widgets.prompt import PromptWidget
except ModuleNotFoundError as error:
    if error.name not in ("anywidget", "ipywidgets", "traitlets"):
        raise
    raise ModuleNotFoundError(
        "widgets need the packages for notebooks: pip install 'sam2nb[widgets]'", name=error.name
    ) from error

__all__ = ["MaskExplorer", "PromptWidget"]
