"""Scene cuts, found frame by frame while a video is tracked (PySceneDetect)."""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 256  # pixels, the longer side of the frames that are compared
THRESHOLD = 27.0  # mean change of hue, saturation and brightness, 0 to 255: the library's own


class CutDetector:
    """Find scene cuts in frames that are shown in order, forwards or backwards.

    cuts: numbers of the frames that begin a new shot, as far as frames were shown.
    """

    def __init__(self) -> None:
        self.cuts: set[int] = set()
        self._shown: list[tuple[int, np.ndarray]] = []

    def show(self, frame: int, rgb: np.ndarray) -> bool:
        """Compare a frame, (H, W, 3) uint8, with the one shown before if they are neighbours. -> a cut between them?"""
        scale = min(SIDE / max(rgb.shape[:2]), 1.0)
        width, height = (max(round(side * scale), 1) for side in (rgb.shape[1], rgb.shape[0]))
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        before = [shown for shown in self._shown if shown[0] != frame][-1:]  # a frame may be shown again
        self._shown = [*before, (frame, small)]
        if not before or abs(frame - before[0][0]) != 1:
            return False
        first = max(frame, before[0][0])
        is_cut = _is_cut(before[0][1], small)
        (self.cuts.add if is_cut else self.cuts.discard)(first)
        return is_cut

    def shot_start(self, frame: int, reverse: bool = False) -> int | None:
        """The first frame of the shot that `frame` is in, as tracking sees it; None where no cut is known."""
        if reverse:
            return min((cut - 1 for cut in self.cuts if cut > frame), default=None)
        return max((cut for cut in self.cuts if cut <= frame), default=None)

    def forget_before(self, frame: int) -> None:
        """Drop the cuts of a stream that lie before `frame`."""
        self.cuts = {cut for cut in self.cuts if cut >= frame}


def _is_cut(before: np.ndarray, now: np.ndarray) -> bool:
    from scenedetect import ContentDetector, FrameTimecode  # half a second to import

    detector = ContentDetector(threshold=THRESHOLD, min_scene_len=1)
    return any(detector.process_frame(FrameTimecode(n, fps=1.0), image) for n, image in enumerate((before, now)))
