"""A long stream with corrections, objects that come and go, and one session per hundred frames: memory stays flat."""

import gc
import os

import psutil
import pytest

from tests.hardening.cases import clip

WARM_UP = 0.2  # of all frames, after which memory may not grow any more
MAY_GROW = 30 << 20  # bytes: caches of the allocator


@pytest.mark.parametrize("frames", [int(os.environ.get("SAM2NB_SOAK_FRAMES", "120"))])
def test_memory_stays_flat(video_predictor, frames):
    stream, pictures, sizes = video_predictor.stream(), clip(), []
    for index in range(frames):
        result = stream.push(pictures[index % len(pictures)])
        if index % 20 == 0:
            stream.add_new_points_or_box(1 + index // 20 % 2, [[20, 20]], [1])
        if index % 50 == 49:
            stream.remove_object(stream.obj_ids[0])
        if index % 100 == 99:
            session = video_predictor.init_state(pictures, async_loading_frames=True)
            video_predictor.add_new_points_or_box(session, 0, 1, [[20, 20]], [1])
            assert len(list(video_predictor.propagate_in_video(session))) == len(pictures)
        assert result.masks.isfinite().all() and len(stream.obj_ids) <= 2
        if index > frames * WARM_UP and index % 10 == 0:
            gc.collect()
            sizes.append(psutil.Process().memory_info().rss)
    print(f"{frames} frames, {sizes[0] / 2**20:.1f} MB at first, {sizes[-1] / 2**20:.1f} MB at the end")
    assert max(sizes) - sizes[0] < MAY_GROW, [size >> 20 for size in sizes]
