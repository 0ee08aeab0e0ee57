"""Images of every kind and size, and prompts of every kind: masks, or an error in words; the predictor stays whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sam2nb.media.images import to_rgb_uint8
from tests.hardening.cases import COLOUR_KINDS, EXTREME_SIZES, GREY_KINDS, SIDE, picture, sizes

LOW = SIDE // 4
HW = (40, 70)


@given(size=sizes, kind=st.sampled_from(sorted(COLOUR_KINDS)), seed=st.integers(0, 9))
def test_a_colour_image_is_the_same_in_every_kind(size, kind, seed):
    rgb = picture(size, seed)
    assert np.array_equal(to_rgb_uint8(COLOUR_KINDS[kind](rgb.copy())), rgb)


@given(size=sizes, kind=st.sampled_from(sorted(GREY_KINDS)), seed=st.integers(0, 9))
def test_a_grey_image_is_the_same_in_every_kind(size, kind, seed):
    grey = np.ascontiguousarray(picture(size, seed)[..., 0])
    expected = np.repeat(grey[..., None], 3, axis=2)
    found = to_rgb_uint8(GREY_KINDS[kind](grey))
    assert found.shape == expected.shape and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= (kind == "float16")


@given(pixels=hnp.arrays(st.sampled_from([np.uint8, np.int16, np.float32, np.bool_, np.uint16]), hnp.array_shapes()))
def test_any_array_is_an_image_or_an_error_in_words(pixels):
    before = pixels.copy()
    try:
        rgb = to_rgb_uint8(pixels)
    except (ValueError, TypeError) as error:
        assert "image" in str(error)
    else:
        assert rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.dtype == np.uint8
    assert np.array_equal(pixels, before, equal_nan=pixels.dtype.kind == "f"), "the caller's array has changed"


@pytest.mark.parametrize("size", EXTREME_SIZES)
def test_an_image_of_any_shape_can_be_segmented(image_predictor, size):
    height, width = size
    image_predictor.set_image(picture(size))
    masks, scores, logits = image_predictor.predict([[width / 2, height / 2]], [1])
    assert masks.shape == (3, *size) and masks.dtype == bool and logits.shape == (3, LOW, LOW)
    assert np.isfinite(scores).all()
    boxed, score, _ = image_predictor.predict(box=[0, 0, width, height], multimask_output=False)
    assert boxed.shape == (1, *size) and np.isfinite(score).all()


coordinates = st.floats(-200, 300) | st.sampled_from([0.0, -1.0, 69.0, 1e6, 1e39, float("nan"), float("inf")])
points = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=3), elements=coordinates)
point_lists = st.lists(st.tuples(coordinates, coordinates), max_size=4)
labels = st.lists(st.sampled_from([0, 1, -1, 1, 0, 2, 0.5, "a", None]), max_size=4)
boxes = st.lists(coordinates, min_size=3, max_size=5) | st.just([5, 5, 30, 30])
logit_maps = st.sampled_from(
    [np.zeros((1, LOW, LOW)), np.full((1, LOW, LOW), -32.0), np.full((LOW, LOW), 1e30), np.zeros((3, 2)), "a"]
)
ARGUMENTS = ("point_coords", "point_labels", "box", "mask_input")


@pytest.fixture(scope="module")
def ready(image_predictor):
    image_predictor.set_image(picture(HW))
    return image_predictor, image_predictor.predict([[20, 20]], [1])


@given(
    coords=st.none() | point_lists | points,
    given_labels=st.none() | labels,
    box=st.none() | boxes,
    mask=st.none() | logit_maps,
    options=st.fixed_dictionaries(
        {name: st.booleans() for name in ("multimask_output", "return_logits", "normalize_coords", "closer")}
    ),
)
def test_any_prompt_gives_finite_masks_or_names_its_argument(ready, coords, given_labels, box, mask, options):
    predictor, expected = ready
    if isinstance(coords, list) and given_labels:
        coords = coords[: len(given_labels)]  # so that some fit
    try:
        masks, scores, logits = predictor.predict(coords, given_labels, box, mask, **options)
    except ValueError as error:
        assert any(name in str(error) for name in ARGUMENTS), error
    else:
        assert masks.shape[-2:] == HW and scores.shape[-1] == masks.shape[-3] == logits.shape[-3]
        assert np.isfinite(scores).all() and np.isfinite(logits).all() and np.isfinite(masks).all()
    again = predictor.predict([[20, 20]], [1])
    assert all(np.array_equal(one, other) for one, other in zip(again, expected, strict=True))
