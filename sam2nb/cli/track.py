"""Track a file from text prompts: what `python -m sam2nb track` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sam2nb.export.tracks import save_tracks
from sam2nb.model.sam2 import SAM2
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.session import VideoSession

USUAL_FPS = 25.0


@dataclass(frozen=True)
class TrackOrder:
    """What to track: prompts on one frame. Each box is an object; clicks refine the only box, or are an object
    themselves; each value above 0 in a label map is an object.
    """

    video: Path
    click: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    box: tuple[str, ...] = ()
    mask: Path | None = None
    frame: int = 0

    def check(self, *targets: Path | None) -> None:
        """Raise ValueError for an order that cannot be carried out, before anything is loaded."""
        if not any(targets):
            raise ValueError("nothing to write: give --out (a video), --masks (a folder) or --rle (a .json)")
        if not (self.click or self.box or self.mask):
            raise ValueError("nothing to track: give --click x,y or --box x1,y1,x2,y2 or --mask labels.png")
        if self.mask and (self.click or self.box or self.exclude):
            raise ValueError("--mask says it all: leave out --click, --exclude and --box")
        if len(self.box) > 1 and (self.click or self.exclude):
            raise ValueError("with several --box it is not clear whose clicks these are: give one box, or no clicks")
        for name, texts, count in (("click", self.click + self.exclude, 2), ("box", self.box, 4)):
            for text in texts:
                numbers(name, text, count)

    def give(self, predictor: SAM2VideoPredictor, session: VideoSession) -> None:
        """Say it to a predictor; objects are numbered from 1, those of a label map keep their values."""
        if self.mask:
            labels = np.asarray(Image.open(self.mask))
            if labels.ndim != 2:
                raise ValueError(f"--mask must be a label map (grey or palette), {self.mask.name} is in colour")
            for value in np.unique(labels[labels > 0]):
                predictor.add_new_mask(session, self.frame, int(value), labels == value)
            return
        points = [numbers("click", text, 2) for text in self.click + self.exclude]
        given = {"points": points, "labels": [1] * len(self.click) + [0] * len(self.exclude)} if points else {}
        for obj_id, box in enumerate(self.box or (None,), start=1):
            corners = None if box is None else numbers("box", box, 4)
            predictor.add_new_points_or_box(session, self.frame, obj_id, box=corners, **given)


def run_track_order(
    order: TrackOrder,
    model: SAM2,
    out: Path | None = None,
    masks: Path | None = None,
    rle: Path | None = None,
    both_ways: bool = False,
    fps: float | None = None,
) -> Iterator[str]:
    """Carry out an order -> lines that say what was written"""
    predictor = SAM2VideoPredictor(model)
    session = predictor.init_state(order.video)
    order.give(predictor, session)
    if both_ways and order.frame > 0:
        for _ in predictor.propagate_in_video(session, reverse=True):
            pass  # remembered; written below in order of time
        before = (predictor.result_at(session, index) for index in range(order.frame))
    else:
        before = iter(())

    def results():
        yield from before
        yield from predictor.propagate_in_video(session)

    rate = fps or getattr(session.frames, "fps", USUAL_FPS)
    count = save_tracks(results(), session.frames, video=out, masks=masks, rle=rle, fps=rate)
    yield f"{len(session.objects)} objects on {count} of {len(session.frames)} frames"
    for target in (out, masks, rle):
        if target is not None:
            yield f"wrote {target}"


def numbers(name: str, text: str, count: int) -> list[float]:
    """ "10,20" -> [10.0, 20.0]"""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != count:
        raise ValueError(f"--{name} must be {count} numbers with commas between them, got {text!r}")
    return values
