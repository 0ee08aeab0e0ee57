"""Slices of volumes as frames."""

import numpy as np
import pytest
import torch

from sam2nb.media.video import open_frames
from sam2nb.media.volume import VolumeSlices

SHAPE = (4, 5, 6)
COUNTING = np.arange(120).reshape(SHAPE)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_follow_each_other_along_the_axis(axis):
    slices = VolumeSlices(COUNTING.astype(np.uint8), axis)
    assert open_frames(slices) is slices
    assert len(slices) == SHAPE[axis] and slices.size_hw == tuple(np.delete(SHAPE, axis))
    for index in range(len(slices)):
        rgb = slices[index]
        assert rgb.dtype == np.uint8 and rgb.shape == (*slices.size_hw, 3)
        assert (rgb == COUNTING.take(index, axis)[..., None]).all()


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64])
def test_a_window_becomes_black_to_white_for_every_type(dtype):
    slices = VolumeSlices((COUNTING * 10).astype(dtype), window=(100, 610))
    grey = np.stack([slices[index][..., 0] for index in range(4)])
    expected = np.clip((COUNTING * 10 - 100) / 510, 0, 1) * 255
    assert np.abs(grey - expected).max() <= 1 and grey.min() == 0 and grey.max() == 255


def test_a_window_of_bytes_is_used_too():
    assert VolumeSlices(COUNTING.astype(np.uint8), window=(0, 119))[3].max() == 255


def test_the_default_window_is_not_spoilt_by_single_voxels():
    volume = np.random.default_rng(0).normal(0, 100, (20, 40, 40)).astype(np.float32)
    volume[3, 4, 5], volume[6, 7, 8], volume[9, 9, 9] = 1e6, -np.inf, np.nan
    low, high = VolumeSlices(volume).window
    assert -280 < low < -230 and 230 < high < 280
    slices = VolumeSlices(volume)
    assert slices[3][4, 5, 0] == 255 and slices[6][7, 8, 0] == 0 and slices[9][9, 9, 0] == 0


def test_booleans_are_black_and_white_and_one_value_is_black():
    assert np.unique(VolumeSlices(COUNTING > 50)[1]).tolist() == [0, 255]
    assert np.unique(VolumeSlices(np.full(SHAPE, 7.0))[1]).tolist() == [0]
    rare = np.zeros((10, 30, 30))
    rare[5, 5, 5] = 3
    assert VolumeSlices(rare)[5].max() == 255


def test_large_volumes_are_sampled_and_tensors_are_taken(monkeypatch):
    monkeypatch.setattr("sam2nb.media.volume.SAMPLE", 1000)
    volume = np.random.default_rng(0).uniform(0, 1000, (30, 50, 40))
    low, high = VolumeSlices(torch.from_numpy(volume)).window
    assert low < 30 and high > 970


@pytest.mark.parametrize(
    ("volume", "options", "error", "message"),
    [
        (np.zeros((4, 5)), {}, ValueError, r"shape \(D, H, W\).*got \(4, 5\)"),
        (np.zeros((4, 5, 6, 3)), {}, ValueError, r"got \(4, 5, 6, 3\)"),
        (np.zeros((0, 5, 6)), {}, ValueError, "not empty"),
        (np.zeros(SHAPE, complex), {}, TypeError, "got dtype complex128"),
        (np.zeros(SHAPE, object), {}, TypeError, "got dtype object"),
        ("volume.npy", {}, TypeError, "got dtype"),
        (np.full(SHAPE, np.nan), {}, ValueError, "no finite value"),
        (COUNTING, {"axis": 3}, ValueError, "axis must be 0, 1 or 2, got 3"),
        (COUNTING, {"axis": "z"}, ValueError, "axis must be 0, 1 or 2, got 'z'"),
        (COUNTING, {"window": (5, 5)}, ValueError, "low < high"),
        (COUNTING, {"window": (0, np.inf)}, ValueError, "low < high"),
        (COUNTING, {"window": 40}, ValueError, "two numbers .*, got 40"),
        (COUNTING, {"window": (1, 2, 3)}, ValueError, "two numbers"),
    ],
)
def test_what_is_no_volume_is_refused(volume, options, error, message):
    with pytest.raises(error, match=message):
        VolumeSlices(volume, **options)
