"""The steps of every part, on a contestant that only records its calls."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from sam2nb.evaluation.benchmarks import parts
from sam2nb.evaluation.benchmarks.parts import CLICKS, FULL_MEMORY, STREAM_START, Task, explain_parts, find_part
from sam2nb.evaluation.benchmarks.setting import Workload

WORKLOAD = Workload(photo_hw=(30, 40), clip_hw=(48, 300), frames=4)


class Recording:
    """Records the calls of a part."""

    def __init__(self):
        self.calls = []

    def encode(self, image):
        self.calls.append(("encode", image.shape))

    def click(self, x, y):
        self.calls.append(("click", (x, y)))
        return np.zeros((3, 30, 40), bool)

    def everything(self, workload, unfiltered):
        self.calls.append(("everything", unfiltered))
        return lambda image: self.segment(image)

    def segment(self, image):
        self.calls.append(("segment", image.shape))
        return 5

    def open(self, clip):
        self.calls.append(("open", len(list(clip.iterdir()))))
        return "state"

    def track(self, clip, boxes):
        for index in range(len(list(clip.iterdir()))):
            self.calls.append(("track", len(boxes)))
            yield np.full((len(boxes), 1, 2, 2), index)

    def stream(self, frame, boxes):
        self.calls.append(("stream", len(boxes)))
        return lambda later: self.calls.append(("push", later.shape))


@pytest.fixture
def start(tmp_path):
    """Prepare a part: the contestant, and the iterator over the steps that follow."""

    def begin(name, repeats=2):
        contestant = Recording()
        part, objects = find_part(name)
        steps = part.start(contestant, Task(WORKLOAD, tmp_path, repeats, objects))
        assert next(steps) is None
        return contestant, steps

    return begin


def test_encode_encodes_the_photograph_once_a_step(start):
    contestant, steps = start("encode")
    assert contestant.calls == []
    list(islice(steps, 2))
    assert contestant.calls == [("encode", (30, 40, 3))] * 2


def test_click_encodes_beforehand_and_takes_several_clicks_a_step(start):
    contestant, steps = start("click")
    assert [name for name, _ in contestant.calls] == ["encode"]
    assert next(steps).masks.shape == (3, 30, 40)
    assert [name for name, _ in contestant.calls] == ["encode"] + ["click"] * CLICKS
    assert find_part("click")[0].calls == CLICKS


@pytest.mark.parametrize(("name", "unfiltered"), [("everything", False), ("everything_unfiltered", True)])
def test_everything_counts_its_masks_with_or_without_filters(start, name, unfiltered):
    contestant, steps = start(name)
    assert next(steps).figures == {"masks": 5}
    assert contestant.calls == [("everything", unfiltered), ("segment", (30, 40, 3))]


def test_track_fills_the_memory_first_and_has_a_frame_for_every_step(start):
    contestant, steps = start("track4", repeats=3)
    assert contestant.calls == [("track", 4)] * FULL_MEMORY
    warm_up, *timed = islice(steps, 4)
    assert warm_up.masks[0, 0, 0, 0] == FULL_MEMORY and len(timed) == 3


def test_folder_opens_a_short_clip_first_and_hands_out_the_state(start):
    contestant, steps = start("folder")
    assert next(steps).state == "state"
    assert contestant.calls == [("open", 1), ("open", 1), ("open", 4)]


def test_stream_takes_one_frame_a_step_after_its_memory_is_full(start):
    contestant, steps = start("stream2")
    assert contestant.calls == [("stream", 2)] + [("push", (48, 300, 3))] * STREAM_START
    next(steps)
    assert len(contestant.calls) == STREAM_START + 2


def test_largest_needs_a_gpu(start, monkeypatch):
    monkeypatch.setattr(parts.torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="largest needs a GPU"):
        start("largest")


def test_largest_is_the_last_side_within_the_budget_which_is_lifted_afterwards(start, monkeypatch):
    fractions = []
    monkeypatch.setattr(parts.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(parts.torch.cuda, "set_per_process_memory_fraction", fractions.append)
    monkeypatch.setattr(parts.torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=16e9))
    monkeypatch.setattr(parts, "LARGEST_SIDES", (10, 20, 30, 40))
    contestant, steps = start("largest")

    def out_of_memory_beyond_20(image):
        if len(image) > 20:
            raise parts.torch.cuda.OutOfMemoryError("too large")

    contestant.segment = out_of_memory_beyond_20
    assert [step.figures for step in steps] == [{"largest_side": 20}]
    assert fractions == [0.25, 1.0]


def test_a_number_of_objects_is_part_of_the_name():
    assert find_part("track16")[1] == 16 and find_part("encode")[1] == 1


@pytest.mark.parametrize("name", ["dance", "track", "track0", "encode4", "", "4"])
def test_unknown_parts_are_named(name):
    with pytest.raises(ValueError, match=f"parts has '{name}'; known are encode, click"):
        find_part(name)


def test_every_part_is_explained():
    lines = list(explain_parts(["encode", "track4"]))
    assert len(lines) == 2 and lines[1].startswith("track4") and "N objects" in lines[1]
