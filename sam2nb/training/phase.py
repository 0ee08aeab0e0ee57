"""The settings of one phase of a run: its length, its learning rates, and its batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Phase:
    """One entry of `phases` in configs/train.

    rates: peak learning rates by part of a parameter's name; a parameter takes the rate of the longest key found in
        its name and is frozen if there is none ("" is found in every name).
    minutes: end after so much time, if the steps are not done by then; the rates fall in step with whichever is further
        (on a GPU lent by the minute). 0 for no limit.
    warmup: steps until the peak rate.
    rounds: the most predictions of one conversation: a first prompt, then up to rounds - 1 corrections.
    frozen_encoder: train no image encoder on clips.

    The rest is read by the recipes of our own models alone:
    batch: arguments of `still_batch` or `crops_of_scenes` or, with "clips" among them, of `clip_batch` or
        `clip_of_scenes`.
    stills_between: the same for every step of `stills_every`, so that clips and stills alternate.
    sides: input sizes, used in turn for two steps each; empty for the recipe's image_size.
    warm_start: number of clip batches by which the memory parts are initialised when the phase begins.
    """

    name: str
    steps: int
    rates: Mapping[str, float]
    warmup: int = 0
    minutes: float = 0.0
    rounds: int = 1
    frozen_encoder: bool = False
    batch: Mapping[str, int] = field(default_factory=dict)
    stills_between: Mapping[str, int] = field(default_factory=dict)
    stills_every: int = 2
    sides: tuple[int, ...] = ()
    warm_start: int = 0

    @property
    def has_clips(self) -> bool:
        """Whether its batches hold clips."""
        return "clips" in self.batch
