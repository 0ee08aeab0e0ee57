"""Arrays in, figures out: one palette and one style for everything that a notebook shows.

Masks are arrays here; no file of this package knows the model. supervision paints masks on arrays, matplotlib adds
points, boxes and labels.
"""

from sam2nb.plotting.draw import (
    BOX_COLOR,
    EXCLUDE_COLOR,
    INCLUDE_COLOR,
    MASK_OPACITY,
    PALETTE,
    as_masks,
    as_rgb,
    color_of,
    draw_masks,
    draw_names,
    pca_colors,
)
from sam2nb.plotting.encode import figure_bytes, get_caption, jpeg_bytes, notebook_bytes, save_figure, set_caption
from sam2nb.plotting.figures import bar_chart, show_boxes, show_image, show_map, show_masks, show_points, side_by_side
from sam2nb.plotting.overlays import show_anns, show_box, show_mask
from sam2nb.plotting.timeline import timeline

__all__ = [
    "BOX_COLOR",
    "EXCLUDE_COLOR",
    "INCLUDE_COLOR",
    "MASK_OPACITY",
    "PALETTE",
    "as_masks",
    "as_rgb",
    "bar_chart",
    "color_of",
    "draw_masks",
    "draw_names",
    "figure_bytes",
    "get_caption",
    "jpeg_bytes",
    "notebook_bytes",
    "pca_colors",
    "save_figure",
    "set_caption",
    "show_anns",
    "show_box",
    "show_boxes",
    "show_image",
    "show_map",
    "show_mask",
    "show_masks",
    "show_points",
    "side_by_side",
    "timeline",
]
