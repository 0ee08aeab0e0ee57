"""The state of one tracked video: its frames, its objects, their prompts and memories.

Plain dataclasses that the caller owns. `Tracker` reads and writes them and keeps no state of its own, so a session can
be inspected, copied, or changed by hand: `del session.objects[2]` removes an object.
"""

from __future__ import annotations

import operator
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from sam2nb.media.cuts import CutDetector
from sam2nb.media.video import FrameSource, ModelInputs
from sam2nb.model.memory_bank import NUM_MASKMEM, MemoryBank
from sam2nb.predict.encoding import EncodedParts
from sam2nb.predict.video.facts import Facts
from sam2nb.predict.video.policies import HISTORY
from sam2nb.structures import WHOLE_FRAME, ImageFeatures, MaskPrediction, Region

ObjectId = Hashable


def to_int(number: int, name: str) -> int:
    """A whole number of any kind as an int, so that it hashes by its value; TypeError, which has its name, for others.

    A tensor has the same value as an int, but a dictionary does not find it.
    """
    try:
        return operator.index(number)
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{name} must be an integer, got {number!r}") from error


class FrameMasks(NamedTuple):
    """The masks of all objects on one frame, in the order of the official package."""

    frame_idx: int
    obj_ids: list[ObjectId]
    masks: Tensor


class FrameResult(FrameMasks):
    """The masks of all objects on one frame, and their scores; unpacks as `frame_idx, obj_ids, masks`.

    masks: (N, 1, H, W) float32 logits at the video's size, in the order of obj_ids; positive inside.
    quality: (N,) float32, predicted IoU of each mask, 0 to 1. presence: (N,) float32, object scores (logits), positive
    where the object is present, and made negative where the memory policy or the region search takes what the model
    found for another thing. Both are on the CPU, and NaN for an object without a prediction on the frame.
    names: N class names, None for an object without one.
    """

    quality: Tensor
    presence: Tensor
    names: list[str | None]

    def __new__(
        cls,
        frame_idx: int,
        obj_ids: list[ObjectId],
        masks: Tensor,
        quality: Sequence[float] | None = None,
        presence: Sequence[float] | None = None,
        names: Sequence[str | None] | None = None,
    ) -> FrameResult:
        result = super().__new__(cls, frame_idx, obj_ids, masks)
        unknown = [float("nan")] * len(obj_ids)
        result.quality = torch.tensor(unknown if quality is None else quality, dtype=torch.float32)
        result.presence = torch.tensor(unknown if presence is None else presence, dtype=torch.float32)
        result.names = [None] * len(obj_ids) if names is None else list(names)
        return result


@dataclass(frozen=True)
class FramePrompt:
    """The prompt for one object on one frame: points (a box is two of them), or a mask.

    points: (1, N, 2) as (x, y) in pixels of the model's input; labels: (1, N); mask: (1, 1, H, W), 0 or 1, at the
    video's size or that of the model's input.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class ObjectPrediction:
    """The prediction for B objects on one frame, before it is memorized.

    mask_logits: (B, 1, 4h, 4w); object_score: (B, 1), positive where the object is present; quality: (B, 1), predicted
    IoU; pointer: (B, 256), None for a memory that has no use for it. region: the part of the frame that the masks show.
    candidates: all masks of the decoder, if the chosen one is among several.
    """

    mask_logits: Tensor
    object_score: Tensor
    quality: Tensor
    pointer: Tensor | None = None
    region: Region = WHOLE_FRAME
    candidates: MaskPrediction | None = None

    def stored(self, device: torch.device) -> ObjectPrediction:
        """The same without its candidates, its masks on another device."""
        return replace(self, mask_logits=self.mask_logits.to(device), candidates=None)


class Memory(Protocol):
    """The memory of B objects on one frame, in the form that one `VideoMemory` makes and reads: `FrameMemory`,
    `MatchMemory`.
    """

    mask_logits: Tensor
    object_score: Tensor
    region: Region

    def stored(self, device: torch.device) -> Memory:
        """The same with its maps on another device."""

    def split(self) -> list[Memory]:
        """The memory of each object, in storage of its own."""


@dataclass
class ObjectTrack:
    """One object: its prompts, pending predictions and memories by frame, and where tracking has been.

    pending: predictions from prompts, which may still change and become memories when tracking starts.
    wide: memories of the whole frame, beside those of regions; only search="region" has any.
    closer: second looks at prompted frames, sharper than the predictions that memories are made of; see `closer`.
    facts: plain numbers about the latest prediction on each frame. name: of its class, such as "cat", for exports.
    directions: for each frame that propagation has passed, whether it ran in reverse. A prompt on such a frame is a
    correction, which attends to the memories; a prompt on any other frame is predicted as on a single image.
    """

    prompts: dict[int, FramePrompt] = field(default_factory=dict)
    pending: dict[int, ObjectPrediction] = field(default_factory=dict)
    bank: MemoryBank = field(default_factory=MemoryBank)
    wide: MemoryBank = field(default_factory=MemoryBank)
    closer: dict[int, ObjectPrediction] = field(default_factory=dict)
    facts: dict[int, Facts] = field(default_factory=dict)
    directions: dict[int, bool] = field(default_factory=dict)
    name: str | None = None

    def prediction_at(self, frame: int) -> ObjectPrediction | Memory | None:
        """The latest prediction on a frame: the pending one, else the memory, else None."""
        return self.pending.get(frame) or self.bank.get(frame)

    def shown_at(self, frame: int) -> ObjectPrediction | Memory | None:
        """The sharpest form of the latest prediction on a frame."""
        return self.closer.get(frame) or self.prediction_at(frame)

    def clear_prompts(self, frame: int) -> None:
        """Remove the prompts on a frame. Its memory is kept, but counts as tracked from now on."""
        self.prompts.pop(frame, None)
        if self.pending.pop(frame, None) is not None:
            self.closer.pop(frame, None)
        if frame in self.bank.prompted:
            self.bank.tracked[frame] = self.bank.prompted.pop(frame)
            self.directions.pop(frame, None)
        if frame in self.wide.prompted:
            self.wide.tracked[frame] = self.wide.prompted.pop(frame)

    def lock(self, frame: int) -> None:
        """Keep the mask that was tracked on a frame: tracking leaves it alone, and other frames always attend to it."""
        for bank in (self.bank, self.wide):
            if frame in bank.tracked:
                bank.prompted[frame] = bank.tracked.pop(frame)

    def release(self, frame: int) -> None:
        """Undo `lock`. A frame with a prompt stays as it is."""
        for bank in (self.bank, self.wide):
            if frame in bank.prompted and frame not in self.prompts:
                bank.tracked[frame] = bank.prompted.pop(frame)

    def forget(self, frame: int) -> None:
        """Drop what was tracked on a frame, as if tracking had never come there."""
        for passed in (self.bank.tracked, self.wide.tracked, self.closer, self.facts, self.directions):
            passed.pop(frame, None)

    def forget_before(self, frame: int) -> None:
        """Drop what a stream that has reached `frame` cannot read any more, beside memories."""
        for old in [other for other in self.prompts if other < frame and other not in self.bank.prompted]:
            del self.prompts[old]
        for passed in (self.directions, self.closer):
            for old in [other for other in passed if other < frame]:
                del passed[old]
        for old in [other for other in self.facts if other < frame - HISTORY and self.bank.get(other) is None]:
            del self.facts[old]


class Sighting(NamedTuple):
    """One object in a region of a frame: what was seen of it, as a memory and in plain numbers."""

    track: ObjectTrack
    memory: Memory
    facts: Facts


@dataclass
class VideoSession:
    """A video and the objects tracked in it.

    inputs: the frames as the model reads them. num_frames: length of the clip, None for a stream.
    storage: where memories are kept (the CPU if offloaded). num_maskmem, max_prompted: see `choose_memories`.
    objects: by the user's own id, in the order in which they were added.
    encoded: the frame encoded last, and its features. parts: the frame looked at closely last, and its regions.
    thumbnail: of the first frame, made when the session is saved. cuts: scene cuts, where the tracker looks for them.
    """

    inputs: ModelInputs
    num_frames: int | None
    storage: torch.device
    num_maskmem: int = NUM_MASKMEM
    max_prompted: int | None = None
    objects: dict[ObjectId, ObjectTrack] = field(default_factory=dict)
    encoded: tuple[int, ImageFeatures] | None = None
    parts: tuple[int, EncodedParts] | None = None
    thumbnail: Tensor | None = None
    cuts: CutDetector = field(default_factory=CutDetector)

    @property
    def frames(self) -> FrameSource:
        """The frames as RGB images."""
        return self.inputs.frames

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the frames."""
        return tuple(self.frames.size_hw)

    @property
    def obj_ids(self) -> list[ObjectId]:
        """The objects in the order of the rows of every mask tensor."""
        return list(self.objects)

    def track_of(self, obj_id: ObjectId) -> ObjectTrack:
        """The track of an object; ValueError for an unknown one."""
        if obj_id not in self.objects:
            raise ValueError(f"obj_id {obj_id!r} is unknown; this session has {self.obj_ids or 'no objects'}")
        return self.objects[obj_id]

    def check_frame(self, frame: int, name: str = "frame_idx") -> int:
        """A number of a frame as an int; TypeError unless it is an integer, ValueError unless it is in the video."""
        frame = to_int(frame, name)
        if frame < 0 or (self.num_frames is not None and frame >= self.num_frames):
            known = "0 or more" if self.num_frames is None else f"in 0..{self.num_frames - 1}"
            raise ValueError(f"{name} must be {known} for this video, got {frame}")
        return frame

    def check_prompts(self) -> None:
        """Raise RuntimeError if there is no object, or one without a prompt."""
        if not self.objects:
            raise RuntimeError("nothing to track: say where an object is first (add_new_points_or_box, add_new_mask)")
        for obj_id, track in self.objects.items():
            if not track.pending and not track.bank.prompted:
                raise RuntimeError(f"object {obj_id!r} has no prompt on any frame: add one or remove the object")

    def reached(self, reverse: bool = False) -> int | None:
        """The frame that propagation in this direction reached last, with every object; None before it began.

        Propagating from there goes on where it stopped; that frame alone is predicted again, with the same result.
        """
        ends = []
        for track in self.objects.values():
            passed = [frame for frame, backwards in track.directions.items() if backwards == reverse]
            if not passed:
                return None
            ends.append(min(passed) if reverse else max(passed))
        return (max if reverse else min)(ends, default=None)

    def frames_to_track(self, start: int | None, max_frames: int | None, reverse: bool) -> Sequence[int]:
        """The frames to propagate through, in order.

        start: None for the earliest prompted frame. max_frames: the number of frames after `start`, None for all.
        Raises RuntimeError if there is nothing to track; ValueError for a stream, a start outside the clip, or a
        negative number of frames.
        """
        self.check_prompts()
        if self.num_frames is None:
            raise ValueError("a stream cannot be propagated: it tracks each frame that is pushed")
        if start is None:
            start = min(frame for track in self.objects.values() for frame in (*track.pending, *track.bank.prompted))
        start = self.check_frame(start, "start_frame_idx")
        max_frames = self.num_frames if max_frames is None else to_int(max_frames, "max_frame_num_to_track")
        if max_frames < 0:
            raise ValueError(f"max_frame_num_to_track must not be negative, got {max_frames}")
        if not reverse:
            return range(start, min(start + max_frames, self.num_frames - 1) + 1)
        return range(start, max(start - max_frames, 0) - 1, -1) if start > 0 else []
