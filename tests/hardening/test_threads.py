"""Several predictors on one model in threads: each gets its own masks, to the bit."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from sam2nb import SAM2ImagePredictor, SAM2VideoPredictor
from tests.hardening.cases import clip, picture

THREADS = 3


def segment(model, seed: int) -> list[np.ndarray]:
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(picture((50, 70), seed))
    return [predictor.predict([[x, 20]], [1]).logits for x in range(0, 60, 20)]


def track(model, seed: int) -> list[torch.Tensor]:
    predictor = SAM2VideoPredictor(model, progress=False)
    session = predictor.init_state(clip(), async_loading_frames=True)
    predictor.add_new_points_or_box(session, seed, 1, [[20, 20]], [1])
    return [result.masks for result in predictor.propagate_in_video(session)]


def test_image_predictors_in_threads_do_not_mix(nano):
    expected = [segment(nano, seed) for seed in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(segment, [nano] * THREADS, range(THREADS)))
    assert all(np.array_equal(a, b) for one, other in zip(found, expected, strict=True) for a, b in zip(one, other))  # noqa: B905


def test_sessions_in_threads_do_not_mix(nano):
    expected = [track(nano, seed) for seed in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(track, [nano] * THREADS, range(THREADS)))
    assert all(torch.equal(a, b) for one, other in zip(found, expected, strict=True) for a, b in zip(one, other))  # noqa: B905
