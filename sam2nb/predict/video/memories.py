"""Choose the memory of a tracker by its name."""

from __future__ import annotations

import logging
from functools import cache

from sam2nb.model.sam2 import SAM2
from sam2nb.predict.video.matching import MatchingMemory
from sam2nb.predict.video.memory import OfficialMemory, VideoMemory
from sam2nb.weights.checkpoint import require_video_weights

MEMORIES = {"official": OfficialMemory, "match": MatchingMemory}

log = logging.getLogger(__name__)


def choose_memory(model: SAM2, name: str | None = None) -> VideoMemory:
    """Make the memory of that name; None takes "official" where the model has weights for it, else "match".

    Raises ValueError for another name, or for "official" where the weights are missing.
    """
    if name is None:
        name = "match" if model.missing_parts else "official"
        if name == "match":
            _tell_once()
    if name not in MEMORIES:
        raise ValueError(f"memory must be one of {', '.join(MEMORIES)}, or None to choose by the weights, got {name!r}")
    if name == "official":
        require_video_weights(model)
    return MEMORIES[name](model)


@cache
def _tell_once() -> None:
    log.warning('these weights have no memory for video: tracking matches image features instead (memory="match")')
