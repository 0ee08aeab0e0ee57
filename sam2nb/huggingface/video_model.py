"""`Sam2VideoModel`: our model and tracker behind the signature of Hugging Face transformers.

The documented calls for videos and streams work after changing the import, and the masks are equal on the same frames,
with these exceptions, in each of which this model does as Meta's package does:

- a prompt on a frame that tracking has passed is a correction: the latest mask goes back in, and it lasts
  (transformers forgets it in the next propagation);
- the object pointer of a given mask is made of the single mask's token (transformers takes the best of three);
- the memory of a tracked object stays soft where another object is prompted on the same frame (transformers takes
  both masks as certain).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam2nb.huggingface.pretrained import PretrainedModel
from sam2nb.huggingface.session import Sam2VideoInferenceSession
from sam2nb.media.progress import with_bar
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.predict.video.memory import choose_memory
from sam2nb.predict.video.session import ObjectId, ObjectTrack, VideoSession
from sam2nb.predict.video.tracker import Tracker
from sam2nb.structures import MASK_STRIDE, NO_OBJECT_LOGIT

log = logging.getLogger(__name__)


class Sam2VideoOutput(NamedTuple):
    """The masks of N objects on one frame.

    object_ids: in the order of the rows. pred_masks: (N, 1, 4h, 4w) logits, for `post_process_masks`.
    object_score_logits: (N, 1), positive where the object is present, NaN where nothing was predicted.
    """

    object_ids: list[ObjectId]
    pred_masks: Tensor
    object_score_logits: Tensor
    frame_idx: int


class Sam2VideoModel(PretrainedModel):
    """Our model behind the signature of transformers' `Sam2VideoModel`.

    config: a `Sam2Config` for random weights; `from_pretrained` for trained ones. Weights without a memory track by
    matching (see `sam2nb.predict.video.matching`).
    """

    @property
    def tracker(self) -> Tracker:
        """The tracking engine on these weights, without the hole filling that transformers does not have."""
        return Tracker(model=self.sam2, memory=choose_memory(self.sam2), fill_hole_area=0)

    def forward(
        self,
        inference_session: Sam2VideoInferenceSession,
        frame_idx: int | None = None,
        frame: Tensor | None = None,
        reverse: bool = False,
        run_mem_encoder: bool = True,
    ) -> Sam2VideoOutput:
        """Segment all objects on one frame: by their new prompts there, or by their memories.

        frame_idx: of a frame of the session. frame: (3, S, S), the next frame of a stream as `Sam2VideoProcessor`
        returns it in pixel_values; it is added to the session. reverse: tracking runs backwards in time.
        run_mem_encoder: False leaves the memories as they were.
        Raises ValueError for a session without objects, a frame that is not in it, or without either argument.
        """
        session = inference_session
        if not session.obj_ids:
            raise ValueError("the session has no object: call processor.add_inputs_to_inference_session first")
        if frame is None and frame_idx is None:
            raise ValueError("give frame_idx, or the next frame of a stream as frame")
        if frame is not None:
            frame_idx = session.add_new_frame(frame, frame_idx)
        state, tracker = session.opened(self.sam2, streaming=frame is not None), self.tracker
        state.check_frame(frame_idx)
        self._read_prompts(session, state, tracker)
        if run_mem_encoder:
            tracker.settle(state)
        remembered = {id_: track for id_, track in state.objects.items() if track.bank.prompted}
        tracked = {id_: track for id_, track in remembered.items() if not _is_prompted(track, frame_idx)}
        before = [_records(track, frame_idx) for track in tracked.values()]
        part = replace(state, objects=tracked)
        tracker.track(part, frame_idx, reverse)
        state.encoded = part.encoded
        output = self._output(session, state, frame_idx)
        if not run_mem_encoder:
            for track, records in zip(tracked.values(), before, strict=True):
                _restore(track, frame_idx, records)
        return output

    def propagate_in_video_iterator(
        self,
        inference_session: Sam2VideoInferenceSession,
        start_frame_idx: int | None = None,
        max_frame_num_to_track: int | None = None,
        reverse: bool = False,
        show_progress_bar: bool = False,
    ) -> Iterator[Sam2VideoOutput]:
        """Track every object through the video: yields one `Sam2VideoOutput` per frame.

        start_frame_idx: None begins at the earliest prompted frame. max_frame_num_to_track: the number of frames after
        the first. reverse: track backwards in time. A file that ends early is tracked as far as it decodes.
        Raises RuntimeError without any prompt, ValueError for a start outside the video.
        """
        session = inference_session
        state, tracker = session.opened(self.sam2), self.tracker
        self._read_prompts(session, state, tracker)
        frames: Sequence[int] = state.frames_to_track(start_frame_idx, max_frame_num_to_track, reverse)
        tracker.settle(state)
        for frame in with_bar(frames, "propagate in video", show_progress_bar):
            try:
                tracker.track(state, frame, reverse)
            except VideoEndedEarly as end:
                log.warning("%s; tracking stops before frame %d", end, end.index)
                return
            yield self._output(session, state, frame)

    def _read_prompts(self, session: Sam2VideoInferenceSession, state: VideoSession, tracker: Tracker) -> None:
        """Predict the objects of new prompts, on the frames that are here."""
        for frame, obj_id, prompt in session.take_prompts(self.device):
            tracker.prompt(state, frame, obj_id, prompt)

    def _output(self, session: Sam2VideoInferenceSession, state: VideoSession, frame: int) -> Sam2VideoOutput:
        side = self.sam2.image_size // MASK_STRIDE
        masks = torch.full((len(session.obj_ids), 1, side, side), NO_OBJECT_LOGIT, device=self.device)
        scores = torch.full((len(session.obj_ids), 1), float("nan"), device=self.device)
        for row, obj_id in enumerate(session.obj_ids):
            track = state.objects.get(obj_id)
            found = None if track is None else track.prediction_at(frame)
            if found is not None:
                masks[row], scores[row] = found.mask_logits[0].to(self.device), found.object_score[0]
        return Sam2VideoOutput(list(session.obj_ids), masks, scores, frame)


def _is_prompted(track: ObjectTrack, frame: int) -> bool:
    return frame in track.bank.prompted or frame in track.pending


def _records(track: ObjectTrack, frame: int) -> list[Any]:
    """Whatever tracking writes about one frame, None where there is nothing yet."""
    return [part.get(frame) for part in (track.bank.tracked, track.facts, track.directions)]


def _restore(track: ObjectTrack, frame: int, records: list[Any]) -> None:
    for part, record in zip((track.bank.tracked, track.facts, track.directions), records, strict=True):
        part.pop(frame)
        if record is not None:
            part[frame] = record
