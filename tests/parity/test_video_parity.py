"""The video predictor against the official one, same random weights in which every parameter matters.

A scenario is played on both, because both have the same methods. Official runs with
`add_all_frames_to_correct_as_cond`, so that corrections last there too.
"""

import numpy as np
import pytest
from PIL import Image

from sam2nb import build_sam2_video_predictor
from tests.reference import official_config, scramble

pytestmark = pytest.mark.parity

SIGN_AGREEMENT = 0.999  # of mask logits, on every frame
SIZE_HW = (90, 120)
CORRECTIONS_LAST = "++model.add_all_frames_to_correct_as_cond=true"
GENERATIONS = ("sam2_hiera_t", "sam2.1_hiera_t")
LONG, SHORT = 20, 7  # frames; the time code of pointers depends on the length below sixteen


def make_clip(folder, num_frames: int, seed: int = 0):
    """A textured image with two discs that move across it, as JPEG files."""
    rng = np.random.default_rng(seed)
    height, width = SIZE_HW
    coarse = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    background = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:height, :width]
    for index in range(num_frames):
        frame = background.copy()
        frame[(x - 30 - 2 * index) ** 2 + (y - 40) ** 2 < 300] = (220, 40, 40)
        frame[(x - 90 + 2 * index) ** 2 + (y - 60) ** 2 < 200] = (40, 60, 220)
        Image.fromarray(frame).save(folder / f"{index:05d}.jpg", quality=95)
    return str(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return {count: make_clip(tmp_path_factory.mktemp(f"clip{count}"), count) for count in (LONG, SHORT)}


def memory_as_float(_module, args, kwargs):
    return args, {**kwargs, "memory": kwargs["memory"].float()}


def build_pair(config: str, image_size: int, apply_postprocessing: bool = True, extra: tuple = ()):
    from sam2.build_sam import build_sam2_video_predictor as build_official

    overrides = [f"++model.image_size={image_size}", CORRECTIONS_LAST, *extra]
    shared = {"device": "cpu", "hydra_overrides_extra": overrides, "apply_postprocessing": apply_postprocessing}
    theirs = build_official(official_config(config), None, **shared)
    scramble(theirs)
    # the official package crashes in float32 where an object's only prompt lies in the future (BFloat16 and Float)
    theirs.memory_attention.register_forward_pre_hook(memory_as_float, with_kwargs=True)
    theirs.fill_hole_area = 0  # silently skipped there without the CUDA extension; see the test of holes
    ours = build_sam2_video_predictor(config, None, **shared)
    ours.model.load_state_dict(theirs.state_dict(), strict=True)
    ours.fill_hole_area = 0
    ours.progress = False
    return ours, theirs


@pytest.fixture(scope="module", params=GENERATIONS)
def pair(request, official):
    return build_pair(request.param, image_size=128)


@pytest.fixture(scope="module")
def larger_pair(official):
    return build_pair("sam2.1_hiera_t", image_size=256)


class Play:
    """One predictor on one clip; keeps every result it returns."""

    def __init__(self, predictor, clip: str):
        self.predictor, self.state, self.results = predictor, predictor.init_state(clip), []

    def click(self, frame, obj_id, *points, labels=None, **kwargs):
        labels = np.array([1] * len(points) if labels is None else labels, np.int32)
        points = np.array(points, np.float32)
        self._keep(self.predictor.add_new_points_or_box(self.state, frame, obj_id, points, labels, **kwargs))

    def box(self, frame, obj_id, box, **kwargs):
        self._keep(self.predictor.add_new_points_or_box(self.state, frame, obj_id, box=np.array(box), **kwargs))

    def mask(self, frame, obj_id, mask):
        self._keep(self.predictor.add_new_mask(self.state, frame, obj_id, mask))

    def clear(self, frame, obj_id):
        self._keep(self.predictor.clear_all_prompts_in_frame(self.state, frame, obj_id))

    def remove(self, obj_id):
        ids, frames = self.predictor.remove_object(self.state, obj_id)
        for frame, masks in frames:
            self._keep((frame, ids, masks))

    def run(self, **kwargs):
        for result in self.predictor.propagate_in_video(self.state, **kwargs):
            self._keep(result)

    def _keep(self, result):
        frame, ids, masks = result
        self.results.append((frame, list(ids), masks.detach().clone()))


def disc(x0, y0, radius):
    y, x = np.mgrid[: SIZE_HW[0], : SIZE_HW[1]]
    return (x - x0) ** 2 + (y - y0) ** 2 < radius**2


def one_click(play):
    play.click(0, 1, (30, 40))
    play.run()


def two_clicks(play):
    play.click(0, 1, (30, 40), (100, 10), labels=[1, 0])
    play.run()


def clicks_one_by_one(play):
    play.click(0, 1, (30, 40))
    play.click(0, 1, (100, 10), labels=[0], clear_old_points=False)
    play.click(0, 1, (30, 40))  # the earlier prediction goes back in, so this is not the first click again
    play.run()


def a_box(play):
    play.box(0, 1, (12, 22, 48, 58))
    play.run()


def a_box_and_a_click(play):
    play.box(0, 1, (12, 22, 48, 58), points=np.array([[30, 40]], np.float32), labels=np.array([0], np.int32))
    play.run()


def a_box_then_a_click(play):
    play.box(0, 1, (12, 22, 48, 58))
    play.click(0, 1, (34, 44), clear_old_points=False)
    play.run()


def a_mask(play):
    play.mask(0, 1, disc(30, 40, 17))
    play.run()


def an_empty_mask(play):
    play.mask(0, 1, np.zeros(SIZE_HW, bool))
    play.run(max_frame_num_to_track=3)


def a_mask_then_a_click(play):
    play.mask(0, 1, disc(30, 40, 17))
    play.click(0, 1, (34, 44))
    play.run(max_frame_num_to_track=4)


def two_objects(play):
    play.click(0, 1, (30, 40))
    play.box(0, 2, (78, 48, 102, 72))
    play.run()


def objects_prompted_on_different_frames(play):
    play.click(0, "left", (30, 40))
    play.click(3, "right", (84, 60))
    play.mask(5, "third", disc(60, 20, 9))
    play.run()


def an_object_added_late(play):
    play.click(0, 1, (30, 40))
    play.run()
    play.click(4, 2, (82, 60))
    play.run()


def a_correction_and_a_second_run(play):
    play.click(0, 1, (30, 40))
    play.run()
    play.click(4, 1, (60, 60), labels=[0])
    play.run()


def a_correction_on_the_first_frame(play):
    play.click(0, 1, (30, 40))
    play.run()
    play.click(0, 1, (40, 44), clear_old_points=False)
    play.run(max_frame_num_to_track=4)


def a_correction_by_mask_in_the_middle(play):
    play.box(2, 1, (16, 22, 52, 58))
    play.run()
    play.mask(5, 1, disc(40, 40, 17))
    play.run(start_frame_idx=3)


def reverse(play):
    play.click(5, 1, (40, 40))
    play.run()
    play.run(reverse=True)


def reverse_with_a_correction(play):
    play.click(6, 1, (42, 40))
    play.run(reverse=True)
    play.click(2, 1, (34, 40))
    play.run(start_frame_idx=6, reverse=True)
    play.run()


def a_partial_range(play):
    play.click(1, 1, (32, 40))
    play.run(max_frame_num_to_track=2)
    play.run(start_frame_idx=3, max_frame_num_to_track=3)


def several_prompted_frames(play):
    for frame in (0, 2, 6):
        play.click(frame, 1, (30 + 2 * frame, 40))
    play.run()


def a_frame_cleared(play):
    play.click(0, 1, (30, 40))
    play.click(3, 1, (36, 40))
    play.run()
    play.clear(3, 1)
    play.run()
    play.click(3, 1, (36, 44))
    play.run()


def an_object_removed(play):
    play.click(0, 1, (30, 40))
    play.click(0, 2, (90, 60))
    play.run(max_frame_num_to_track=3)
    play.remove(1)
    play.run()


SCENARIOS = [
    one_click,
    two_clicks,
    clicks_one_by_one,
    a_box,
    a_box_and_a_click,
    a_box_then_a_click,
    a_mask,
    an_empty_mask,
    a_mask_then_a_click,
    two_objects,
    objects_prompted_on_different_frames,
    an_object_added_late,
    a_correction_and_a_second_run,
    a_correction_on_the_first_frame,
    a_correction_by_mask_in_the_middle,
    reverse,
    reverse_with_a_correction,
    a_partial_range,
    several_prompted_frames,
    a_frame_cleared,
    an_object_removed,
]
ON_THE_LONG_CLIP = [one_click, two_objects, reverse, a_correction_and_a_second_run]


def assert_same_play(ours, theirs, scenario, clip):
    mine, reference = Play(ours, clip), Play(theirs, clip)
    scenario(mine)
    scenario(reference)
    assert [(frame, ids) for frame, ids, _ in mine.results] == [(frame, ids) for frame, ids, _ in reference.results]
    shares = []
    for (frame, _, a), (_, _, b) in zip(mine.results, reference.results, strict=True):
        assert a.shape == b.shape
        agreement = ((a > 0) == (b > 0)).float().mean().item()
        assert agreement >= SIGN_AGREEMENT, f"frame {frame}: sign agreement {agreement:.5f}"
        shares.append((b > 0).float().mean().item())
    return shares


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_all_masks_agree_on_a_short_clip(pair, clips, scenario):
    assert_same_play(*pair, scenario, clips[SHORT])


@pytest.mark.parametrize("scenario", ON_THE_LONG_CLIP, ids=lambda scenario: scenario.__name__)
def test_all_masks_agree_on_a_clip_longer_than_the_pointers_reach(larger_pair, clips, scenario):
    shares = assert_same_play(*larger_pair, scenario, clips[LONG])
    assert len(shares) > 10
    assert any(0.02 < share < 0.98 for share in shares), "masks that are empty or full prove nothing"


def test_without_postprocessing_prompted_masks_are_not_taken_as_certain(clips, official):
    pair = build_pair("sam2.1_hiera_t", image_size=128, apply_postprocessing=False)
    assert pair[0].binarize_prompted is False
    assert_same_play(*pair, two_clicks, clips[SHORT])


def test_objects_that_may_not_overlap_agree(clips, official):
    pair = build_pair("sam2.1_hiera_t", image_size=128, extra=("++model.non_overlap_masks=true",))
    assert_same_play(*pair, two_objects, clips[SHORT])


def test_holes_are_filled_as_by_the_official_extension(clips, official, monkeypatch):
    import cv2
    import sam2.utils.misc as misc
    import torch

    def components(mask):  # what the CUDA extension computes: labels, and each pixel's region's area
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask[0, 0].numpy().astype(np.uint8), connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA][labels] * (labels > 0)
        return torch.from_numpy(labels)[None, None], torch.from_numpy(areas)[None, None]

    monkeypatch.setattr(misc, "get_connected_components", components)
    ours, theirs = build_pair("sam2.1_hiera_t", image_size=256)
    ours.fill_hole_area = theirs.fill_hole_area = 30
    filled, plain = Play(ours, clips[SHORT]), Play(ours, clips[SHORT])
    two_clicks(filled)
    ours.fill_hole_area = 0
    two_clicks(plain)
    assert any(not torch.equal(a[2], b[2]) for a, b in zip(filled.results, plain.results, strict=True))
    ours.fill_hole_area = 30
    assert_same_play(ours, theirs, two_clicks, clips[SHORT])


@pytest.mark.slow
def test_at_full_size_ten_frames_after_the_prompt_masks_agree(tmp_path, official):
    clip = make_clip(tmp_path, 11)
    ours, theirs = build_pair("sam2.1_hiera_t", image_size=1024)
    assert_same_play(ours, theirs, one_click, clip)
