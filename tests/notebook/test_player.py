"""A clip played inside the page."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from sam2nb.media.video import open_frames
from sam2nb.notebook import player


def test_a_clip_becomes_a_small_video_of_the_same_length(tmp_path, printed):
    frames = [np.full((90, 121, 3), 8 * index, np.uint8) for index in range(10)]
    data = player.play(frames, fps=10, alt="grey getting lighter")
    assert printed() == "grey getting lighter: 10 frames, 10 a second"
    (tmp_path / "clip.mp4").write_bytes(data)
    back = open_frames(tmp_path / "clip.mp4")
    assert len(back) == 10 and back[9].mean() > back[0].mean() + 60


def test_a_clip_that_is_too_large_is_made_coarser(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (6, 180, 320, 3), dtype=np.uint8)
    monkeypatch.setattr(player, "PLAYER_BYTES", 10**9)
    whole = player.play(noise)
    monkeypatch.setattr(player, "PLAYER_BYTES", len(whole) // 2)
    assert len(player.play(noise)) <= len(whole) // 2


def test_in_a_notebook_it_is_a_video_element_with_a_text_for_those_who_cannot_see(monkeypatch):
    shown = []
    monkeypatch.setattr(player, "in_notebook", lambda: True)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=shown.append))
    player.play([np.zeros((64, 64, 3), np.uint8)] * 3, alt='a "black" square')
    assert shown[0].startswith("<video controls autoplay loop muted") and "data:video/mp4;base64," in shown[0]
    assert 'aria-label="a &quot;black&quot; square"' in shown[0]


def test_no_frames_are_refused():
    with pytest.raises(ValueError, match="frames is empty"):
        player.play([])
