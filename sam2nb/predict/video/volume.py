"""Segment a volume: prompts on any slice, propagated through all slices, both ways.

    slices = VolumeSlices(ct, axis=0, window=(-160, 240))
    session = predictor.init_state(slices)
    predictor.add_new_points_or_box(session, frame_idx=40, obj_id=1, box=[120, 80, 210, 160])
    inside = segment_volume(predictor, session)[1]  # bool, of the shape of ct

The official package has no counterpart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from sam2nb.media.volume import VolumeSlices
from sam2nb.predict.video.predictor import SAM2VideoPredictor
from sam2nb.predict.video.session import FrameResult, ObjectId, VideoSession


def segment_volume(predictor: SAM2VideoPredictor, session: VideoSession) -> dict[ObjectId, np.ndarray]:
    """Track the objects of a session through a volume: -> for each its voxels, bool, of the volume's shape

    session: of `VolumeSlices`, with prompts. Each object is tracked from its first prompted slice, first back to the
    beginning, then to the end; objects that begin on the same slice go together. Prompts added later count when this
    is called again.

    Raises TypeError for a session of anything else, RuntimeError without any prompt.
    """
    slices = session.frames
    if not isinstance(slices, VolumeSlices):
        raise TypeError(f"session must be of VolumeSlices, got one of {type(slices).__name__}")
    session.check_prompts()
    found = {obj_id: np.zeros(slices.shape, dtype=bool) for obj_id in session.objects}
    for result in propagate_both_ways(predictor, session):
        inside = (result.masks[:, 0] > 0).cpu().numpy()
        for obj_id, mask in zip(result.obj_ids, inside, strict=True):
            np.moveaxis(found[obj_id], slices.axis, 0)[result.frame_idx] = mask
    return found


def propagate_both_ways(predictor: SAM2VideoPredictor, session: VideoSession) -> Iterator[FrameResult]:
    """Propagate each object from its first prompted frame to both ends of a video: yields results as they come.

    A result holds the objects that begin on the same frame. Every object gets a result on every frame; on its first
    one it gets two, which are equal, unless that is frame 0.
    """
    groups: dict[int, list[ObjectId]] = {}
    for obj_id, track in session.objects.items():
        groups.setdefault(min((*track.pending, *track.bank.prompted)), []).append(obj_id)
    for first in sorted(groups):
        part = replace(session, objects={obj_id: session.objects[obj_id] for obj_id in groups[first]})
        for reverse in (True, False):
            yield from predictor.propagate_in_video(part, start_frame_idx=first, reverse=reverse)
        session.encoded = part.encoded
