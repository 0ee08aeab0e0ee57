"""`Sam2VideoModel` against transformers on the same frames and weights, and the calls its documentation shows."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2nb import SAM2VideoPredictor
from sam2nb.huggingface import Sam2Config, Sam2VideoModel, Sam2VideoProcessor
from sam2nb.structures import NO_OBJECT_LOGIT
from tests.huggingface.pairs import make_pair
from tests.predict.video.clips import frame as clip_frame
from tests.reference import scramble

SIDE, FRAMES = 128, 6
SIZE_HW = (40, 56)
LOGIT_TOLERANCE = 5e-3  # of logits of about 10; memories are stored in bfloat16, whose rounding a tiny gap can flip
AGREEMENT = 0.999  # of the signs of mask logits
CLICK = {"input_points": [[[[20, 20]]]], "input_labels": [[[1]]]}
TWO_CLICKS = {"input_points": [[[[20, 20]], [[40, 10]]]], "input_labels": [[[1], [1]]]}
BOX = {"input_boxes": [[[8, 10, 30, 32]]]}


@pytest.fixture(scope="module", params=["sam2.1_hiera_t", "sam2_hiera_b+"])
def pair(request, tmp_path_factory):
    made = make_pair(request.param, SIDE, tmp_path_factory.mktemp("hub"))
    made.ours = Sam2VideoModel.from_pretrained(made.folder).eval()
    return made


@pytest.fixture(scope="module")
def small():
    """Our video model alone, random weights."""
    model = Sam2VideoModel(Sam2Config("sam2.1_hiera_t", 64)).eval()
    scramble(model.sam2)
    return model


@pytest.fixture
def processor():
    return Sam2VideoProcessor(64)


@pytest.fixture
def clip() -> list[np.ndarray]:
    return [clip_frame(index) for index in range(FRAMES)]


class Play:
    """One model with its processor on one clip; keeps the masks and scores of every output."""

    def __init__(self, model, processor, session):
        self.model, self.processor, self.session = model, processor, session
        self.frames, self.masks, self.scores = [], [], []

    def add(self, frame, obj_ids, **inputs):
        obj_ids = list(obj_ids) if isinstance(obj_ids, list) else obj_ids  # transformers empties the caller's list
        self.processor.add_inputs_to_inference_session(self.session, frame, obj_ids, **inputs)

    def look(self, *args, **kwargs):
        with torch.no_grad():
            self._keep(self.model(self.session, *args, **kwargs))

    def propagate(self, **kwargs):
        for output in self.model.propagate_in_video_iterator(self.session, **kwargs):
            self._keep(output)

    def _keep(self, output):
        assert output.object_ids == list(self.session.obj_ids)
        self.frames.append(output.frame_idx)
        self.masks.append(output.pred_masks.clone())
        self.scores.append(output.object_score_logits.clone())


def both(pair, clip, stream: bool = False) -> tuple[Play, Play, Tensor]:
    """Ours and theirs on the same processed frames."""
    transformers = pytest.importorskip("transformers")
    size = {"height": SIDE, "width": SIDE}
    theirs = transformers.Sam2VideoProcessor(
        transformers.Sam2ImageProcessor(size=size), transformers.Sam2VideoVideoProcessor(size=size)
    )
    ours = Sam2VideoProcessor(SIDE)
    source = None if stream else clip
    mine, reference = ours.init_video_session(source), theirs.init_video_session(source)
    pixels = ours(images=clip).pixel_values
    if not stream:
        reference.processed_frames = dict(enumerate(pixels))
    return Play(pair.ours, ours, mine), Play(pair.video, theirs, reference), pixels


def assert_alike(mine: Play, reference: Play) -> None:
    assert mine.frames == reference.frames
    for ours, theirs, score, their_score in zip(
        mine.masks, reference.masks, mine.scores, reference.scores, strict=True
    ):
        assert ours.shape == theirs.shape and score.shape == their_score.shape
        assert (theirs > NO_OBJECT_LOGIT).all() and 0.02 < (theirs > 0).float().mean() < 0.98  # a mask worth comparing
        assert ((ours > 0) == (theirs > 0)).float().mean() >= AGREEMENT
        assert (ours - theirs).abs().max() <= LOGIT_TOLERANCE
        assert (score - their_score).abs().max() <= LOGIT_TOLERANCE


# Equal to transformers


@pytest.mark.parametrize(
    ("obj_ids", "inputs"), [(1, CLICK), (7, BOX), ([2, 3], TWO_CLICKS)], ids=["click", "box", "two objects"]
)
def test_prompts_on_the_first_frame_and_the_track_from_there_agree(pair, clip, obj_ids, inputs):
    mine, reference, _ = both(pair, clip)
    for play in (mine, reference):
        play.add(0, obj_ids, **inputs)
        play.look(frame_idx=0)
        play.propagate()
    assert mine.frames == [0, *range(FRAMES)]
    assert_alike(mine, reference)


def test_a_track_backwards_agrees(pair, clip):
    mine, reference, _ = both(pair, clip)
    for play in (mine, reference):
        play.add(FRAMES - 1, 1, **BOX)
        play.look(frame_idx=FRAMES - 1)
        play.propagate(reverse=True, max_frame_num_to_track=3)
    assert mine.frames[1:] == [5, 4, 3, 2]
    assert_alike(mine, reference)


def test_prompts_on_several_frames_and_an_object_that_joins_later_agree(pair, clip):
    mine, reference, _ = both(pair, clip)
    for play in (mine, reference):
        for frame, obj_id, inputs in ((0, 1, CLICK), (4, 1, BOX), (3, 2, BOX)):
            play.add(frame, obj_id, **inputs)
            play.look(frame_idx=frame)
        play.propagate(start_frame_idx=0)
    assert [len(masks) for masks in mine.masks] == [1, 1, *[2] * (FRAMES + 1)]
    assert_alike(mine, reference)


def test_a_stream_agrees(pair, clip):
    mine, reference, pixels = both(pair, clip, stream=True)
    for play in (mine, reference):
        play.add(0, 1, original_size=SIZE_HW, **CLICK)
        for frame in pixels:
            play.look(frame=frame)
    assert mine.frames == list(range(FRAMES))
    assert_alike(mine, reference)


def test_mask_prompts_agree_once_the_pointer_comes_from_the_single_mask(pair, clip, monkeypatch):
    decode = pair.video._single_frame_forward
    monkeypatch.setattr(
        pair.video,
        "_single_frame_forward",
        lambda **given: decode(**given | ({"multimask_output": False} if given.get("input_masks") is not None else {})),
    )
    square, disc = np.zeros(SIZE_HW, bool), np.hypot(*np.mgrid[-20:20, -28:28]) < 9
    square[10:30, 8:28] = True
    mine, reference, _ = both(pair, clip)
    for play in (mine, reference):
        play.add(0, [4, 2], input_masks=[square, disc])
        play.look(frame_idx=0)
        play.propagate()
    assert torch.equal(mine.masks[0], reference.masks[0])
    assert_alike(mine, reference)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_masks_are_those_of_our_video_predictor_in_either_precision(small, processor, clip, dtype):
    model = copy.deepcopy(small).to(dtype)
    predictor = SAM2VideoPredictor(model.sam2, fill_hole_area=0, progress=False)
    state = predictor.init_state(clip)
    predictor.add_new_points_or_box(state, 0, 1, box=[8, 10, 30, 32])
    expected = [result.masks for result in predictor.propagate_in_video(state)]
    play = Play(model, processor, processor.init_video_session(clip, dtype=dtype))
    play.add(0, 1, **BOX)
    play.propagate()
    full = processor.post_process_masks(play.masks, [SIZE_HW] * FRAMES, binarize=False)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(full, expected, strict=True))


# Unlike transformers


def test_a_correction_lasts_and_goes_in_before_the_next_propagation(small, processor, clip):
    play = Play(small, processor, processor.init_video_session(clip))
    play.add(0, 1, **CLICK)
    play.propagate()
    play.add(3, 1, input_points=[[[[50, 35]]]], input_labels=[[[1]]])
    play.propagate()
    first, second = play.masks[:FRAMES], play.masks[FRAMES:]
    assert torch.equal(first[0], second[0]) and not torch.equal(first[3], second[3])
    play.propagate()
    assert torch.equal(play.masks[-3], second[3])


def test_an_object_does_not_depend_on_how_many_points_its_neighbour_has(small, processor, clip):
    alone, beside = (Play(small, processor, processor.init_video_session(clip)) for _ in range(2))
    alone.add(0, 1, **CLICK)
    beside.add(0, [1, 2], input_points=[[[[20, 20]], [[40, 10], [45, 12], [3, 3]]]], input_labels=[[[1], [1, 1, 0]]])
    for play in (alone, beside):
        play.look(frame_idx=0)
    torch.testing.assert_close(beside.masks[0][:1], alone.masks[0], atol=1e-4, rtol=0)


# Calls


def test_the_documented_example_runs(small, processor, clip):
    session = processor.init_video_session(video=clip, inference_device="cpu", dtype=torch.bfloat16)
    assert (session.video_height, session.video_width, session.num_frames) == (*SIZE_HW, FRAMES)
    processor.add_inputs_to_inference_session(
        inference_session=session, frame_idx=0, obj_ids=1, input_points=[[[[20, 20]]]], input_labels=[[[1]]]
    )
    outputs = small(inference_session=session, frame_idx=0)
    sizes = [[session.video_height, session.video_width]]
    masks = processor.post_process_masks([outputs.pred_masks], original_sizes=sizes, binarize=False)[0]
    assert masks.shape == (1, 1, *SIZE_HW) and masks.dtype == torch.float32
    segments = {}
    for output in small.propagate_in_video_iterator(session):
        segments[output.frame_idx] = processor.post_process_masks([output.pred_masks], original_sizes=sizes)[0]
    assert sorted(segments) == list(range(FRAMES)) and segments[0].dtype == torch.bool

    session.reset_inference_session()
    assert session.obj_ids == [] and session.num_frames == FRAMES
    processor.add_inputs_to_inference_session(session, frame_idx=0, obj_ids=[2, 3], **TWO_CLICKS)
    outputs = small(inference_session=session, frame_idx=0)
    assert outputs.object_ids == session.obj_ids == [2, 3] and outputs.pred_masks.shape == (2, 1, 16, 16)


def test_the_documented_stream_runs(small, processor, clip):
    session = processor.init_video_session(inference_device="cpu")
    assert session.num_frames is None
    for index, frame in enumerate(clip):
        inputs = processor(images=frame, device="cpu", return_tensors="pt").to(small.device)
        if index == 0:
            processor.add_inputs_to_inference_session(
                inference_session=session,
                frame_idx=0,
                obj_ids=1,
                input_points=[[[[20, 20], [25, 22]]]],
                input_labels=[[[1, 1]]],
                original_size=inputs.original_sizes[0],
            )
        output = small(inference_session=session, frame=inputs.pixel_values[0])
        masks = processor.post_process_masks([output.pred_masks], original_sizes=inputs.original_sizes)[0]
        assert output.frame_idx == index and masks.shape == (1, 1, *SIZE_HW)
    streamed = output.pred_masks
    *_, last = small.propagate_in_video_iterator(session)
    assert last.frame_idx == FRAMES - 1
    # the clip's end is known now, which the time code of pointers depends on
    assert ((last.pred_masks > 0) == (streamed > 0)).float().mean() > 0.9


def test_points_can_be_added_to_those_on_the_frame(small, processor, clip):
    one, two = (Play(small, processor, processor.init_video_session(clip)) for _ in range(2))
    one.add(0, 1, input_points=[[[[20, 20], [25, 22]]]], input_labels=[[[1, 0]]])
    two.add(0, 1, **CLICK)
    two.add(0, 1, input_points=[[[[25, 22]]]], input_labels=[[[0]]], clear_old_inputs=False)
    for play in (one, two):
        play.look(frame_idx=0)
    assert torch.equal(one.masks[0], two.masks[0])
    two.add(0, 1, input_points=[[[[30, 22]]]], input_labels=[[[1]]], clear_old_inputs=False)
    two.look(frame_idx=0)
    assert not torch.equal(two.masks[0], two.masks[1])


def test_without_the_memory_encoder_the_memories_stay(small, processor, clip):
    looked, plain = (Play(small, processor, processor.init_video_session(clip)) for _ in range(2))
    for play in (looked, plain):
        play.add(0, 1, **CLICK)
        play.look(frame_idx=0)
        play.look(frame_idx=1)
    looked.look(frame_idx=2, run_mem_encoder=False)
    looked.look(frame_idx=1, run_mem_encoder=False)
    for play in (looked, plain):
        play.look(frame_idx=3)
    assert looked.masks[2].abs().max() > 0
    assert torch.equal(looked.masks[-1], plain.masks[-1])


def test_an_object_whose_prompt_lies_on_a_frame_to_come_is_absent(small, processor, clip):
    session = processor.init_video_session()
    play = Play(small, processor, session)
    play.add(0, 1, original_size=SIZE_HW, **CLICK)
    play.add(1, 2, **CLICK)
    for frame in clip[:2]:
        play.look(frame=processor(images=frame).pixel_values[0])
    assert (play.masks[0][1] == NO_OBJECT_LOGIT).all() and play.scores[0][1].isnan()
    assert (play.masks[1][1] != NO_OBJECT_LOGIT).any()


def test_precision_is_chosen_as_in_transformers_and_weights_stay_float32(pair):
    model = Sam2VideoModel.from_pretrained(pair.folder, device_map="cpu", torch_dtype="bfloat16")
    assert model.sam2.compute_dtype is torch.bfloat16
    assert model.to("cpu", dtype=torch.float32).sam2.compute_dtype is torch.float32
    assert model.to(torch.bfloat16).sam2.compute_dtype is torch.bfloat16
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    with pytest.raises(ValueError, match="float32"):
        model.to(dtype=torch.int8)


def test_weights_without_a_memory_track_by_matching(small, processor, clip, caplog):
    model = Sam2VideoModel(Sam2Config("sam2.1_hiera_t", 64)).eval()
    model.sam2.load_state_dict(small.sam2.state_dict())
    model.sam2.missing_parts = ("memory_attention",)
    play = Play(model, processor, processor.init_video_session(clip))
    play.add(0, 1, **CLICK)
    play.propagate()
    assert play.frames == list(range(FRAMES)) and all(masks.isfinite().all() for masks in play.masks)


def test_wrong_calls_are_refused(small, processor, clip):
    session = processor.init_video_session(clip)
    with pytest.raises(ValueError, match="the session has no object"):
        small(session, frame_idx=0)
    processor.add_inputs_to_inference_session(session, 0, 1, **CLICK)
    with pytest.raises(ValueError, match="give frame_idx, or the next frame"):
        small(session)
    with pytest.raises(ValueError, match="frame_idx must be in 0..5 for this video, got 9"):
        small(session, frame_idx=9)
    with pytest.raises(ValueError, match=r"a frame must be \(3, 64, 64\) .* got \(3, 32, 32\)"):
        small(session, frame=torch.zeros(3, 32, 32))
    other = Sam2VideoProcessor(128).init_video_session(clip)
    Sam2VideoProcessor(128).add_inputs_to_inference_session(other, 0, 1, **CLICK)
    with pytest.raises(ValueError, match="side of 128 pixels, the model reads 64: use the processor of the same"):
        small(other, frame_idx=0)
