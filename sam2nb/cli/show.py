"""Show an image: in a window of the system's viewer, or in the terminal where there are no windows."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import NDArray

UPPER_HALF = "▀"  # a character of two pixels: its own colour above, that of the background below
MAX_COLUMNS = 120


def show(rgb: NDArray) -> None:
    """Show an image. rgb: (H, W, 3) uint8"""
    from PIL import Image, ImageShow

    image = Image.fromarray(rgb)
    if has_windows() and ImageShow.show(image, title="sam2nb"):
        return
    sys.stderr.write(draw_in_text(rgb, min(shutil.get_terminal_size().columns, MAX_COLUMNS)))


def has_windows() -> bool:
    """Whether this session can open a window; one over ssh usually cannot."""
    is_desktop = sys.platform in ("win32", "darwin") and "SSH_CONNECTION" not in os.environ
    return is_desktop or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def draw_in_text(rgb: NDArray, columns: int) -> str:
    """The image in coloured characters, for terminals with 24-bit colours. rgb: (H, W, 3) uint8"""
    import numpy as np
    from PIL import Image

    height, width = rgb.shape[:2]
    columns = min(columns, width)
    rows = max(round(columns * height / width / 2), 1)
    pixels = np.asarray(Image.fromarray(rgb).resize((columns, 2 * rows)))
    lines = []
    for upper, lower in zip(pixels[0::2].tolist(), pixels[1::2].tolist(), strict=True):
        cells = [
            f"\x1b[38;2;{r};{g};{b};48;2;{r2};{g2};{b2}m{UPPER_HALF}"
            for (r, g, b), (r2, g2, b2) in zip(upper, lower, strict=True)
        ]
        lines.append("".join(cells) + "\x1b[0m\n")
    return "".join(lines)
