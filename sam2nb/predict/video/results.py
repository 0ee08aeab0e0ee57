"""Results of one frame: the masks of all objects at the video's size, and their scores."""

from __future__ import annotations

import torch

from sam2nb.masks.regions import separate
from sam2nb.predict.regions import masks_to_frame
from sam2nb.predict.video.session import FrameResult, VideoSession
from sam2nb.structures import NO_OBJECT_LOGIT


def frame_result(
    session: VideoSession,
    frame: int,
    device: torch.device,
    non_overlap_masks: bool,
    size_hw: tuple[int, int] | None = None,
) -> FrameResult:
    """The masks of all objects on a frame; an object without a prediction there is absent.

    device: of the masks. non_overlap_masks: every pixel belongs to one object at most. size_hw: of the masks, by
    default that of the video.
    """
    size_hw = size_hw or session.size_hw
    absent = torch.full((1, 1, *size_hw), NO_OBJECT_LOGIT, device=device)
    masks, facts = [], []
    for track in session.objects.values():
        found = track.shown_at(frame)
        masks.append(absent if found is None else masks_to_frame(found.mask_logits.to(device), found.region, size_hw))
        facts.append(track.facts.get(frame) if found is not None else None)
    if not masks:
        return FrameResult(frame, [], absent[:0])
    joined = torch.cat(masks)
    return FrameResult(
        frame,
        session.obj_ids,
        separate(joined) if non_overlap_masks else joined,
        [float("nan") if known is None else known.quality for known in facts],
        [float("nan") if known is None else known.presence for known in facts],
        [track.name for track in session.objects.values()],
    )
