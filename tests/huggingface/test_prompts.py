"""Nested prompts as padded tensors: whatever their lengths, every number arrives and all else is padding."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2nb.huggingface.processor import scale_prompts
from sam2nb.huggingface.prompts import PADDING, rectangular

SIZE_HW, SIDE = (120, 200), 256
POINT = st.tuples(st.integers(0, 200), st.integers(0, 120)).map(list)
OBJECTS = st.lists(st.lists(POINT, min_size=1, max_size=4), min_size=1, max_size=4)
IMAGES = st.lists(OBJECTS, min_size=1, max_size=3)


@settings(deadline=None)
@given(IMAGES)
def test_points_keep_their_values_and_the_rest_is_padding(points):
    table = rectangular(points, 4, "input_points", "", width=2)
    count = 0
    for row, objects in zip(table, points, strict=True):
        for cells, given_points in zip(row, objects, strict=False):
            assert cells[: len(given_points)].tolist() == given_points
            count += len(given_points)
    assert int((table == PADDING).all(dim=-1).sum()) == table[..., 0].numel() - count


@settings(deadline=None)
@given(IMAGES)
def test_clicks_are_scaled_and_padding_never_becomes_a_click(points):
    inputs = scale_prompts(torch.tensor([SIZE_HW] * len(points)), SIDE, points, None, None)
    is_click = inputs.input_labels == 1
    assert ((inputs.input_points == PADDING).all(dim=-1) == ~is_click).all()
    flat = np.array([point for objects in points for clicks in objects for point in clicks], np.float64)
    expected = np.sort((flat * [SIDE / SIZE_HW[1], SIDE / SIZE_HW[0]]).ravel())
    np.testing.assert_allclose(np.sort(inputs.input_points[is_click].numpy().ravel()), expected, rtol=1e-6)
