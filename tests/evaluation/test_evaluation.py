"""The public names of `sam2nb.evaluation`."""

import pytest

from sam2nb import evaluation


def test_the_promised_names_are_functions():
    for name in ("mask_iou", "boundary_f", "j_and_f", "evaluate_images", "evaluate_video", "benchmark"):
        assert callable(getattr(evaluation, name)) and name in dir(evaluation) and name in evaluation.__all__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'mask_dance'"):
        _ = evaluation.mask_dance
