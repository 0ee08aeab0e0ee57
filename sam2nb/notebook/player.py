"""Play a clip inside the page: frames as a short H.264 video with play, pause and a slider."""

from __future__ import annotations

import base64
import html
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from sam2nb.media.video_writer import VideoWriter
from sam2nb.notebook.show import in_notebook

PLAYER_WIDTH = 400  # pixels, at most
PLAYER_FPS = 12.0
PLAYER_BYTES = 60_000  # of a stored video; a longer or larger one is shrunk until it fits
PLAYER_CRF = 28  # at the same size in bytes, coarser quality in full width is clearer than the reverse
SHRINK = 0.8  # of the width, at each attempt
NARROWEST = 160  # pixels


def play(frames: Iterable[np.ndarray], fps: float = PLAYER_FPS, alt: str = "a video") -> bytes:
    """Show frames as a video that starts by itself and repeats. Returns the file, in case you want to keep it.

    frames: (H, W, 3) uint8 arrays of one size. fps: frames per second. alt: the text for people who cannot see it.
    The video is made coarser until it has at most 60 kB, so that a notebook with it stays small.

    Raises ValueError without a frame.
    """
    shown = list(frames)
    if not shown:
        raise ValueError("frames is empty: pass at least one (H, W, 3) array")
    width = widest = min(PLAYER_WIDTH, shown[0].shape[1])
    data = _encode(shown, width, fps)
    while len(data) > PLAYER_BYTES and width * SHRINK >= NARROWEST:
        width = int(width * SHRINK)
        data = _encode(shown, width, fps)
    if in_notebook():
        from IPython.display import HTML, display

        display(HTML(_tag(data, widest, alt)))
    else:
        print(f"{alt}: {len(shown)} frames, {fps:g} a second")
    return data


def _encode(frames: list[np.ndarray], width: int, fps: float) -> bytes:
    """An mp4 file of the frames, shrunk to a width in pixels."""
    height = round(frames[0].shape[0] * width / frames[0].shape[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(path, fps, crf=PLAYER_CRF) as video:
            for frame in frames:
                video.add(np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)))
        return path.read_bytes()


def _tag(data: bytes, width: int, alt: str) -> str:
    source = f"data:video/mp4;base64,{base64.b64encode(data).decode()}"
    text = html.escape(alt, quote=True)
    return (
        f'<video controls autoplay loop muted playsinline width="{width}" aria-label="{text}" title="{text}" '
        f'src="{source}">{text}</video>'
    )
