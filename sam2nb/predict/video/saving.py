"""Sessions on disk: everything that is needed to go on with a video, in one file.

Prompts, pending predictions, memories, plain facts and where propagation has been; not the video, and not the features
of its frames. Propagation continues as if it had never stopped, to the bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from sam2nb.media.video import FrameSource
from sam2nb.model.memory_bank import MemoryBank
from sam2nb.predict.packing import PLAIN, TensorTable, Unpacker, pack
from sam2nb.predict.saving import SavedState, read_state, write_state
from sam2nb.predict.video.facts import Facts
from sam2nb.predict.video.matching import MatchMemory
from sam2nb.predict.video.memory import MEMORIES
from sam2nb.predict.video.policies import choose_policy
from sam2nb.predict.video.session import FramePrompt, ObjectPrediction, ObjectTrack, VideoSession
from sam2nb.predict.video.tracker import Tracker
from sam2nb.predict.video.views import View
from sam2nb.structures import FrameMemory

KIND = "video session"
TYPES = (ObjectTrack, FramePrompt, ObjectPrediction, MemoryBank, FrameMemory, MatchMemory, View, Facts)
STORED = ("features", "mask_logits", "frame", "regions")  # fields of memories that `stored` moves to the storage
# options on which results depend; `memory` is asked for by name
OPTIONS = (
    "search",
    "fill_hole_area",
    "max_sprinkle_area",
    "non_overlap_masks",
    "binarize_prompted",
    "closer",
    "cuts",
    "motion",
)
THUMBNAIL = (16, 16)  # pixels, of the first frame
SAME_VIDEO = 8  # levels of 255 by which its pixels may differ on average: another decoder, not another video


def save_session(tracker: Tracker, session: VideoSession, path: str | Path) -> Path:
    """Write a session to a file, see `SAM2VideoPredictor.save_session`."""
    if session.num_frames is None:
        raise ValueError("a stream cannot be saved: its frames do not come again")
    for obj_id in session.obj_ids:
        if not isinstance(obj_id, (*PLAIN, np.generic)):
            raise ValueError(f"obj_id must be a number or a string in a session that is saved, got {obj_id!r}")
    if session.thumbnail is None:
        session.thumbnail = _thumbnail(session.frames)
    table = TensorTable()
    notes = pack(
        {
            "options": options_of(tracker),
            "num_frames": session.num_frames,
            "size_hw": session.size_hw,
            "max_prompted": session.max_prompted,
            "thumbnail": session.thumbnail,
            "cuts": sorted(session.cuts.cuts),
            "objects": session.objects,
        },
        table,
    )
    return write_state(path, KIND, SavedState(notes, table.tensors), tracker.model)


def load_session(
    tracker: Tracker, path: str | Path, frames: FrameSource, storage: torch.device | None = None
) -> VideoSession:
    """Read a session of the same video, see `SAM2VideoPredictor.load_session`."""
    saved = read_state(path, KIND, tracker.model)
    session = tracker.open(frames, len(frames), storage)
    try:
        make = Unpacker(saved.tensors, TYPES, tracker.model.device, session.storage, STORED)
        notes: dict[str, Any] = make(saved.notes)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} was written by another version of sam2nb: {error}") from None
    for name, value in options_of(tracker).items():
        if notes["options"].get(name) != value:
            raise ValueError(f"{path} was tracked with {name}={notes['options'].get(name)!r}, here it is {value!r}")
    session.thumbnail = _thumbnail(frames)
    _check_video(path, notes, session)
    session.max_prompted, session.objects = notes["max_prompted"], notes["objects"]
    session.cuts.cuts.update(notes["cuts"])
    return session


def options_of(tracker: Tracker) -> dict[str, Any]:
    """The settings of a tracker on which results depend, by the names of `SAM2VideoPredictor`."""
    kinds = type(tracker.memory), type(tracker.policy)
    names = (name for name, memory in MEMORIES.items() if (memory, type(choose_policy(name))) == kinds)
    memory = next(names, " with ".join(kind.__name__ for kind in kinds))
    return {"memory": memory, **{name: getattr(tracker, name) for name in OPTIONS}}


def _thumbnail(frames: FrameSource) -> Tensor:
    """The first frame in few pixels: (16, 16, 3) uint8"""
    return torch.from_numpy(cv2.resize(frames[0], THUMBNAIL, interpolation=cv2.INTER_AREA))


def _check_video(path: str | Path, notes: dict[str, Any], session: VideoSession) -> None:
    (height, width), (own_height, own_width) = notes["size_hw"], session.size_hw
    theirs = f"{notes['num_frames']} frames of {width}x{height}"
    ours = f"{session.num_frames} frames of {own_width}x{own_height}"
    if theirs != ours:
        raise ValueError(f"{path} belongs to a video of {theirs}, this one has {ours}")
    difference = (notes["thumbnail"].cpu().float() - session.thumbnail.float()).abs().mean()
    if difference > SAME_VIDEO:
        raise ValueError(f"{path} belongs to another video: its first frame looks different")
