"""A table of pictures with names of rows and columns."""

import numpy as np
import pytest

from sam2nb.plotting import mask_grid

IMAGES = [np.full((40, 60, 3), 90, np.uint8), np.full((60, 40, 3), 90, np.uint8)]
MASKS = [[np.zeros((40, 60), bool), np.ones((60, 40), bool)]] * 3


def test_rows_and_columns_have_their_names_and_cells_their_notes():
    notes = [["0.1", "0.2"], ["0.3", "0.4"], ["0.5", "0.6"]]
    points, boxes = [[5, 6], [7, 8]], [[0, 0, 9, 9], None]
    figure = mask_grid(IMAGES, MASKS, ["a", "b", "c"], ["cat", "dog"], points, boxes, notes, colors=[0, 3])
    axes = np.array(figure.axes).reshape(3, 2)
    assert [ax.get_title() for ax in axes[0]] == ["cat", "dog"] and not axes[1, 0].get_title()
    assert [[text.get_text() for text in ax.texts] for ax in axes[:, 0]] == [["0.1", "a"], ["0.3", "b"], ["0.5", "c"]]


def test_a_table_with_a_missing_cell_is_refused():
    with pytest.raises(ValueError, match="masks must have 2 rows of 2"):
        mask_grid(IMAGES, MASKS, ["a", "b"], ["cat", "dog"])
