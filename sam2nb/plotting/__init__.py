"""Arrays in, figures out: one palette and one style for everything that a notebook shows.

Masks are arrays here; no file of this package knows the model. supervision paints masks on arrays, matplotlib adds
points, boxes and labels.
"""

from sam2nb.plotting.colors import choose_colors
from sam2nb.plotting.draw import (
    BOX_COLOR,
    EXCLUDE_COLOR,
    INCLUDE_COLOR,
    MASK_OPACITY,
    PALETTE,
    as_masks,
    as_rgb,
    color_of,
    default_colors,
    draw_masks,
    draw_names,
    pca_colors,
)
from sam2nb.plotting.encode import (
    alt_text,
    figure_bytes,
    get_caption,
    jpeg_bytes,
    notebook_bytes,
    notebook_image,
    save_figure,
    set_caption,
)
from sam2nb.plotting.figures import (
    bar_chart,
    show_boxes,
    show_image,
    show_map,
    show_masks,
    show_points,
    side_by_side,
    zoom_in,
)
from sam2nb.plotting.grid import mask_grid
from sam2nb.plotting.overlays import show_anns, show_box, show_mask
from sam2nb.plotting.timeline import timeline

__all__ = [
    "BOX_COLOR",
    "EXCLUDE_COLOR",
    "INCLUDE_COLOR",
    "MASK_OPACITY",
    "PALETTE",
    "alt_text",
    "as_masks",
    "as_rgb",
    "bar_chart",
    "choose_colors",
    "color_of",
    "default_colors",
    "draw_masks",
    "draw_names",
    "figure_bytes",
    "get_caption",
    "jpeg_bytes",
    "mask_grid",
    "notebook_bytes",
    "notebook_image",
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
    "zoom_in",
]
