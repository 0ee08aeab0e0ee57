"""Clicks and boxes as text."""

import pytest

from sam2nb.cli.prompts import TextPrompts


def test_clicks_come_with_labels_and_boxes_as_corners():
    prompts = TextPrompts.parse(click=["10,20", "1.5,2"], exclude=["3,4"], box=["1,2,3,4"])
    assert prompts.points == [(10, 20), (1.5, 2), (3, 4)] and prompts.labels == [1, 1, 0]
    assert prompts.boxes == ((1, 2, 3, 4),)


def test_excluded_points_alone_do_not_locate_an_object():
    assert not TextPrompts.parse(exclude=["3,4"]).locate_objects
    assert TextPrompts.parse(click=["3,4"]).locate_objects and TextPrompts.parse(box=["1,2,3,4"]).locate_objects


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"click": ["1"]}, "--click must be 2 numbers separated by commas, got '1'"),
        ({"exclude": ["a,b"]}, "--exclude must be 2 numbers"),
        ({"box": ["1,2,3"]}, "--box must be 4 numbers"),
        ({"box": ["1,2,3,4", "5,6,7,8"], "click": ["1,2"]}, "clicks are ambiguous with several --box"),
    ],
)
def test_the_option_that_is_wrong_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        TextPrompts.parse(**options)
