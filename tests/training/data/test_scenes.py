import dataclasses

import numpy as np
import pytest
import torch

from sam2nb.training.data import scenes
from sam2nb.training.data.cutouts import CUTOUT_SIDE, CutOuts
from sam2nb.training.data.scenes import clip_of_scenes, compose_scene, paste
from sam2nb.training.data.stock import MASK_SIDE, Stock, new_stock, read_views

SIDE, FRAMES = 64, 4


@pytest.fixture(scope="module")
def stock() -> Stock:
    """Two grey views with a bright square, whose mask is known, and two cut-outs."""
    rng = np.random.default_rng(0)
    views = rng.integers(0, 60, (2, 128, 128, 3), dtype=np.uint8)
    views[:, 40:80, 50:100] = 240
    rgba = np.zeros((2, CUTOUT_SIDE, CUTOUT_SIDE, 4), np.uint8)
    y, x = np.mgrid[:CUTOUT_SIDE, :CUTOUT_SIDE] - CUTOUT_SIDE / 2
    rgba[0][x**2 + y**2 < 110**2] = (200, 40, 40, 255)
    rgba[1][(abs(x) < 90) & (abs(y) < 60)] = (40, 200, 40, 255)
    cutouts = CutOuts(rgba, np.full((2, 2), CUTOUT_SIDE, np.int16), np.array([0.5, 0.5]))
    empty = new_stock(views, cutouts, torch.device("cpu"))
    masks = empty.masks.clone()
    masks[:, 0, 80:160, 100:200] = True  # the square, on the grid of 256
    return dataclasses.replace(empty, masks=masks, counts=np.array([1, 1]))


def test_a_batch_of_clips_has_the_promised_shapes(stock):
    batch = clip_of_scenes(np.random.default_rng(0), stock, clips=3, frames=FRAMES, side=SIDE, objects=2)
    assert batch.pixels.shape == (FRAMES, 3, 3, SIDE, SIDE)
    assert batch.clip_index.tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.truth.shape == (FRAMES, 6, SIDE // 4, SIDE // 4)
    assert batch.first_masks.shape == (6, 1, SIDE, SIDE)
    assert batch.first_masks.flatten(1).any(1).all(), "every object is seen on the first frame"
    assert batch.pixels.isfinite().all()


def test_the_same_generator_composes_the_same_clip(stock):
    first, second = (compose_scene(np.random.default_rng(7), stock, FRAMES, SIDE) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.masks, second.masks)


def test_the_mask_of_the_photographs_own_object_follows_it(stock, monkeypatch):
    monkeypatch.setattr(scenes, "OWN_OBJECT", 1.0)
    checked = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        images, masks = scenes._photograph(rng, stock, FRAMES, SIDE)
        for image, mask in zip(images, masks[:, 0], strict=True):
            if mask.sum() > 60:
                bright = image.mean(0) > 0.6
                assert (bright & mask).sum() / (bright | mask).sum() > 0.8
                checked += 1
    assert checked > 20


def test_what_is_in_front_hides_what_is_behind(stock):
    for seed in range(6):
        masks = compose_scene(np.random.default_rng(seed), stock, FRAMES, SIDE).masks
        own, pasted = masks[:, :1], masks[:, 1:]
        assert not (own & pasted.any(1, keepdim=True)).any()


def test_a_pasted_texture_is_where_its_path_says(stock, monkeypatch):
    path = scenes.random_path(np.random.default_rng(0), 1, 0.3, 0.0)
    path = dataclasses.replace(path, centre=np.array([[0.25, 0.75]]), size=np.array([0.25]), angle=np.array([0.4]))
    monkeypatch.setattr(scenes, "random_path", lambda *_: path)
    monkeypatch.setattr(scenes, "bending", lambda rng, frames, side, device, largest=0: torch.zeros(1))
    colour, alpha = paste(np.random.default_rng(0), torch.ones(4, 50, 50), 1, 128)
    rows, columns = torch.nonzero(alpha[0, 0] > 0.5).float().mean(0).tolist()
    assert (rows, columns) == pytest.approx((96, 32), abs=1)
    assert float((alpha > 0.5).sum()) == pytest.approx(32**2, rel=0.08)
    assert torch.equal(colour[:, 0], alpha[:, 0])


def test_views_are_read_in_order_with_or_without_processes(tmp_path):
    from PIL import Image

    for index in range(3):
        Image.new("RGB", (50, 40), (index * 80, 0, 0)).save(tmp_path / f"{index}.png")
    paths = sorted(tmp_path.iterdir())
    alone, together = read_views(paths, 2, 32, 0), read_views(paths, 2, 32, 2)
    assert np.array_equal(alone, together)
    assert alone.shape == (6, 32, 32, 3)
    assert alone[::2, 0, 0, 0].tolist() == [0, 80, 160]


def test_masks_are_stored_on_a_grid_of_their_own(stock):
    assert stock.masks_of(0).shape == (1, MASK_SIDE, MASK_SIDE)
