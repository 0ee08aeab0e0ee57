"""What is known about one video: its frames, its objects, what was said and what is remembered.

Plain dataclasses that the caller owns. `SAM2VideoPredictor` reads and writes them and keeps nothing itself, so a
session can be looked at, copied, or changed by hand: `del session.objects[2]` removes an object.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam2nb.media.video import FrameSource
from sam2nb.model.memory_bank import NUM_MASKMEM, MemoryBank, MemoryChoice, choose_memories
from sam2nb.structures import FrameMemory, ImageFeatures

ObjectId = Hashable


@dataclass(frozen=True)
class FramePrompt:
    """What the user said about one object on one frame: points (a box is two of them), or a mask.

    points: (1, N, 2) in pixels of the model's input; labels: (1, N); mask: (1, 1, S, S), 0 or 1.
    """

    points: Tensor | None = None
    labels: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class PendingAnswer:
    """The answer to a prompt that may still change: not yet a memory, it becomes one when tracking starts."""

    pointer: Tensor
    object_score: Tensor
    mask_logits: Tensor


@dataclass
class ObjectTrack:
    """One object: what was said about it, answers waiting to become memories, memories, where tracking has been.

    directions: for each frame that propagation has passed, whether it ran backwards. A prompt on such a frame is a
    correction, which sees the memories; a prompt anywhere else stands alone, as on an image.
    """

    prompts: dict[int, FramePrompt] = field(default_factory=dict)
    pending: dict[int, PendingAnswer] = field(default_factory=dict)
    bank: MemoryBank = field(default_factory=MemoryBank)
    directions: dict[int, bool] = field(default_factory=dict)

    def answer_at(self, frame: int) -> PendingAnswer | FrameMemory | None:
        """The latest answer on a frame: to a prompt first, then what is remembered."""
        if frame in self.pending:
            return self.pending[frame]
        return self.bank.get(frame)

    def clear_prompts(self, frame: int) -> None:
        """Unsay what was said on a frame. A memory of it stays, no longer as a condition."""
        self.prompts.pop(frame, None)
        self.pending.pop(frame, None)
        if frame in self.bank.prompted:
            self.bank.tracked[frame] = self.bank.prompted.pop(frame)
            self.directions.pop(frame, None)

    def forget_before(self, frame: int, max_prompted: int | None) -> None:
        """Keep what a stream that has reached `frame` can still read."""
        self.bank.forget_before(frame, max_prompted)
        for old in [other for other in self.prompts if other < frame and other not in self.bank.prompted]:
            del self.prompts[old]
        for old in [other for other in self.directions if other < frame]:
            del self.directions[old]


@dataclass
class VideoSession:
    """A video in work.

    frames: where pictures come from. objects: by the user's own id, in the order in which they were added.
    num_frames: length of the clip, None for a stream. num_maskmem, max_prompted: see `choose_memories`.
    storage: where memories wait (the CPU when offloaded). encoded: the frame whose features are at hand.
    """

    frames: FrameSource
    size_hw: tuple[int, int]
    num_frames: int | None
    storage: torch.device
    num_maskmem: int = NUM_MASKMEM
    max_prompted: int | None = None
    objects: dict[ObjectId, ObjectTrack] = field(default_factory=dict)
    encoded: tuple[int, ImageFeatures] | None = None

    @property
    def obj_ids(self) -> list[ObjectId]:
        """The objects in the order of the rows of every mask tensor."""
        return list(self.objects)

    def choose(self, track: ObjectTrack, frame: int, reverse: bool) -> MemoryChoice:
        """The memories of an object that `frame` attends to, as integers."""
        return choose_memories(
            frame,
            track.bank.prompted,
            track.bank.tracked,
            num_frames=self.num_frames,
            reverse=reverse,
            num_maskmem=self.num_maskmem,
            max_prompted=self.max_prompted,
        )
