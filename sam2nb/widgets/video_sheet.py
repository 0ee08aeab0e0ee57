"""A sheet of a few frames of a video with their masks and prompts, for viewers that cannot run widgets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sam2nb import plotting
from sam2nb.media.video import FrameSource
from sam2nb.widgets.still import encode_and_close
from sam2nb.widgets.video_masks import VideoMasks
from sam2nb.widgets.video_objects import NO_CLICKS, VideoObject, distinct_names

SHEET = 6  # frames
COLUMNS = 3


def contact_sheet(frames: FrameSource, masks: VideoMasks, objects: Sequence[VideoObject], first: int) -> bytes:
    """A few frames with the masks of visible objects and all prompts, as a JPEG file.

    first: the frame that is shown where none has a mask or a prompt.
    """
    names = distinct_names(objects)
    panels: dict[str, list] = {name: [] for name in ("titles", "masks", "colors", "points", "labels", "boxes")}
    numbers = _frames_to_show(masks, objects, first)
    for frame in numbers:
        found = masks.get(frame, {})
        visible = [one for one in objects if one.is_visible and names[one.number] in found]
        prompts = [one.frames.get(frame, NO_CLICKS) for one in objects]
        clicks = [point for given in prompts for point in given.points]
        boxes = [given.box for given in prompts if given.box is not None]
        panels["titles"].append(f"frame {frame}")
        panels["masks"].append([found[names[one.number]] for one in visible])
        panels["colors"].append([one.color for one in visible])
        panels["points"].append([click[:2] for click in clicks] or None)
        panels["labels"].append([click[2] for click in clicks] or None)
        panels["boxes"].append(np.array(boxes, np.float32) if boxes else None)
    return encode_and_close(plotting.side_by_side([frames[frame] for frame in numbers], columns=COLUMNS, **panels))


def _frames_to_show(masks: VideoMasks, objects: Sequence[VideoObject], first: int) -> list[int]:
    """Prompted frames, and others spread evenly over those that have a mask."""
    prompted = sorted({frame for one in objects for frame in one.frames})[: SHEET // 2]
    known = sorted(masks) or [first]
    even = (known[round(at)] for at in np.linspace(0, len(known) - 1, SHEET - len(prompted)))
    return sorted({*prompted, *even})
