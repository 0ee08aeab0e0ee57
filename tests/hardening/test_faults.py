"""Ctrl-C and a full memory anywhere in the model: predictor, session and files stay whole."""

import copy

import numpy as np
import pytest
import torch

from sam2nb import SAM2AutomaticMaskGenerator, SAM2ImagePredictor
from tests.faults import interrupted
from tests.hardening.cases import FRAMES, clip, picture

ERRORS = [KeyboardInterrupt, MemoryError, torch.OutOfMemoryError]
POSITIONS = [0, 7, 60, 250, 600, 1500, 2500, 4000]  # of the call of torch that fails


def fail_at(position, error, work) -> bool:
    """Do the work with an error at a position -> whether it came so far"""
    try:
        with interrupted(position, error):
            work()
    except error:
        return True
    return False


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("error", ERRORS)
def test_an_image_predictor_keeps_its_image_and_answers_as_before(nano, position, error):
    predictor = SAM2ImagePredictor(nano)
    predictor.set_image(picture((50, 70)))
    expected = predictor.predict([[20, 20]], [1])
    fail_at(position, error, lambda: predictor.predict(box=[5, 5, 30, 30], closer=True))
    if fail_at(position, error, lambda: predictor.set_image(picture((90, 20), seed=1))):
        again = predictor.predict([[20, 20]], [1])
        assert all(np.array_equal(one, other) for one, other in zip(again, expected, strict=True))
    else:
        assert predictor.original_sizes == [(90, 20)]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("error", ERRORS)
def test_a_session_goes_on_as_if_nothing_had_happened(nano, video_predictor, position, error):
    def prompts(session):
        video_predictor.add_new_points_or_box(session, 0, 1, [[20, 20]], [1])
        video_predictor.add_new_points_or_box(session, 2, 2, [[40, 10]], [1])

    plain, broken = (video_predictor.init_state(clip()) for _ in range(2))
    prompts(plain)
    expected = list(video_predictor.propagate_in_video(plain))
    prompts(broken)
    before = copy.deepcopy(broken)
    if fail_at(position, error, lambda: video_predictor.add_new_points_or_box(broken, 4, 3, box=[5, 5, 30, 30])):
        assert broken.obj_ids == before.obj_ids
    else:
        video_predictor.remove_object(broken, 3)
    fail_at(position, error, lambda: list(video_predictor.propagate_in_video(broken)))
    found = list(video_predictor.propagate_in_video(broken))
    assert len(found) == FRAMES
    assert all(torch.equal(one.masks, other.masks) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize("error", ERRORS)
def test_a_generator_works_again_after_an_error(nano, error):
    generator = SAM2AutomaticMaskGenerator(nano, points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    expected = generator.generate(picture((40, 40)))
    fail_at(700, error, lambda: generator.generate(picture((40, 60))))
    again = generator.generate(picture((40, 40)))
    assert [record["bbox"] for record in again] == [record["bbox"] for record in expected]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, OSError])
@pytest.mark.parametrize("kind", ["image", "session"])
def test_a_file_that_is_being_replaced_stays_whole(nano, video_predictor, tmp_path, monkeypatch, error, kind):
    image_predictor, session = SAM2ImagePredictor(nano), video_predictor.init_state(clip())
    image_predictor.set_image(picture((30, 30)))
    video_predictor.add_new_points_or_box(session, 0, 1, [[20, 20]], [1])
    file = tmp_path / "state.safetensors"

    def save():
        return image_predictor.save(file) if kind == "image" else video_predictor.save_session(session, file)

    def half(tensors, part, metadata):
        part.write_bytes(b"half a file")
        raise error

    before = save().read_bytes()
    monkeypatch.setattr("sam2nb.predict.saving.save_file", half)
    with pytest.raises(error):
        save()
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
