"""Text tables of checkpoints."""

import pytest
import torch

from sam2nb import build_sam2
from sam2nb.weights import registry
from sam2nb.weights.files import VIDEO_PARTS, write_state_file
from sam2nb.weights.tables import checkpoint_card, checkpoint_table, published_rows


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    """No checkpoint on this machine."""
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "here"))
    monkeypatch.setattr(registry, "shipped_folder", lambda: None)
    monkeypatch.setattr(registry, "hub_cache_file", lambda _: None)


def test_the_table_has_a_line_for_every_checkpoint_in_columns_of_one_width():
    title, *lines = checkpoint_table()
    rows = lines[: len(registry.CHECKPOINTS)]
    assert [row.split()[0] for row in rows] == list(registry.CHECKPOINTS)
    assert {row.rindex("-") for row in rows} == {title.index("on this machine")}


def test_the_rows_for_a_notebook_are_those_that_meta_published():
    rows = published_rows()
    assert len(rows) == 8 and rows[0] == ["sam2.1_hiera_large", "224", "40", "79.5"]


def test_the_card_of_a_checkpoint_says_that_it_is_not_here():
    lines = checkpoint_card("sam2.1_hiera_large")
    assert "parameters       224,446,642" in lines and "on this machine  no" in lines
    assert any(line.startswith("published        39.5 FPS; J&F 79.5 SA-V test") for line in lines)


def test_the_card_of_a_file_counts_its_tensors_and_lists_its_notes(tmp_path):
    file = write_state_file(tmp_path / "a.pt", {"x": torch.zeros(2, 3), "y": torch.zeros(1).half()}, {"by": "us"})
    lines = checkpoint_card(str(file))
    assert lines[0] == f"file             {file} (0 MB)"
    assert lines[1:] == ["holds            no SAM 2: 2 tensors, 7 values, float16, float32", "by               us"]


def test_the_card_of_a_file_says_how_it_tracks(tmp_path):
    state = build_sam2("sam2.1_hiera_t", device="cpu").state_dict()
    assert "video            with learned memory" in checkpoint_card(str(write_state_file(tmp_path / "a.pt", state)))
    images = {name: weights for name, weights in state.items() if not name.startswith(VIDEO_PARTS)}
    image_only = write_state_file(tmp_path / "b.pt", images)
    assert "video            by matching" in checkpoint_card(str(image_only))
