"""The diagram of SAM 2 and the timeline of its memory."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_hex

from sam2nb.model.memory_bank import choose_memories
from sam2nb.notebook.diagrams import (
    ARROWS,
    BOXES,
    PROMPTED_COLOR,
    TRACKED_COLOR,
    lookup_diagram,
    memory_timeline,
    sam2_diagram,
)


def test_every_box_is_drawn_once_and_joined_by_an_arrow():
    ax = sam2_diagram()
    assert [text.get_text() for text in ax.texts] == [*(box.text for box in BOXES.values()), "still images"]
    more = "one more arrow leads from the masks to the memory encoder, one past the memory"
    assert len(ax.patches) == len(BOXES) + len(ARROWS) + 2, more
    assert {name for arrow in ARROWS for name in arrow} == set(BOXES)


def test_a_row_of_the_timeline_shows_the_frames_attended_to_in_the_colour_of_their_kind():
    choice = choose_memories(10, prompted=[0], tracked=range(1, 10), num_frames=12)
    ax = memory_timeline({10: choice}, 12)
    drawn = {
        int(frame): to_hex(squares.get_facecolor()[0]).upper()
        for squares in ax.collections[: len(choice.spatial)]
        for frame, _ in squares.get_offsets()
    }
    assert drawn == {0: PROMPTED_COLOR} | dict.fromkeys(range(4, 10), TRACKED_COLOR)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["frame 10"]


def test_lit_boxes_stand_out_and_carry_their_shapes():
    ax = sam2_diagram(lit=["encoder"], shapes={"encoder": "256 x 64 x 64", "frame": "512 x 512 x 3"})
    opacity = [patch.get_alpha() for patch in ax.patches[: len(BOXES)]]
    assert [alpha == 1 for alpha in opacity] == [name == "encoder" for name in BOXES]
    assert {"256 x 64 x 64", "512 x 512 x 3"} < {text.get_text() for text in ax.texts}
    with pytest.raises(ValueError, match="no box 'brain'; it has frame, encoder"):
        sam2_diagram(lit=["brain"])


def test_a_look_up_shows_every_share_as_a_line_of_its_width():
    table = {"names": ["a", "b"], "colors": [(1, 0, 0), (0, 1, 0)], "values": [1, 0], "query": (0.9, 0, 0)}
    assert not lookup_diagram(**table).lines
    ax = lookup_diagram(**table, shares=[0.75, 0.25])
    wide, narrow = (line.get_linewidth() for line in ax.lines)
    assert wide == 3 * narrow and {"75%", "25%"} < {text.get_text() for text in ax.texts}
    assert len(ax.patches) == 3
