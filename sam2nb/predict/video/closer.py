"""The second look at a frame of a video: clicks and boxes on small objects, answered again on a crop.

The same as for still images (`sam2nb.predict.closer`). Memories are made of the whole frame, so the second answer goes
into them at its resolution; results show it as sharp as it is.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from torch import Tensor

from sam2nb.model.sam2 import SAM2
from sam2nb.predict.closer import look_closer
from sam2nb.predict.encoding import EncodedImage, EncodedParts
from sam2nb.predict.precision import computing
from sam2nb.predict.regions import move_logits, pixels_of
from sam2nb.predict.video.session import FramePrompt, ObjectPrediction, VideoSession
from sam2nb.structures import WHOLE_FRAME, Prompts, Region


def look_closer_at(
    model: SAM2, session: VideoSession, frame: int, prompt: FramePrompt, earlier: Tensor | None, first: ObjectPrediction
) -> ObjectPrediction | None:
    """Answer clicks or a box for one object again on a region of the frame; None where the first answer is kept.

    earlier: (1, 1, 4h, 4w), the mask prompt of the first answer. The encoded regions are kept in `session.parts`.
    """
    if session.parts is None or session.parts[0] != frame:
        session.parts = frame, EncodedParts(partial(encode_part, model, session, frame), session.size_hw)
    prompts = Prompts(prompt.points, prompt.labels, earlier)
    [look] = look_closer(model, session.parts[1], prompts, first.mask_logits, first.quality, multimask=False)
    if look is None or not look.kept.all():
        return None
    return replace(first, mask_logits=look.logits[None], quality=look.iou[None], region=look.region)


def on_frame(prediction: ObjectPrediction) -> ObjectPrediction:
    """A prediction in a region as one on the whole frame, at the decoder's size."""
    logits = move_logits(prediction.mask_logits, prediction.region, WHOLE_FRAME)
    return replace(prediction, mask_logits=logits, region=WHOLE_FRAME)


def encode_part(model: SAM2, session: VideoSession, frame: int, region: Region) -> EncodedImage:
    """Encode a region of a frame as if it were the frame."""
    rows, columns = pixels_of(region, session.size_hw)
    pixels = session.inputs.part(frame, rows, columns)
    with computing(model):
        features = model.encode_image(pixels)
        return EncodedImage(features, model.recall(features), (rows.stop - rows.start, columns.stop - columns.start))
