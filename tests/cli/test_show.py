"""`--show`: a window, or coloured characters."""

import numpy as np
import pytest
from PIL import ImageShow

from sam2nb.cli import show as shown


@pytest.fixture
def half_red():
    rgb = np.zeros((40, 20, 3), np.uint8)
    rgb[:20, :, 0] = 255
    return rgb


def test_in_a_terminal_a_character_is_two_pixels(half_red, monkeypatch, capsys):
    monkeypatch.setattr(shown, "has_windows", lambda: False)
    shown.show(half_red)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20 and all(line.count(shown.UPPER_HALF) == 20 for line in lines)
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;255;0;0m") and lines[-1].startswith(
        "\x1b[38;2;0;0;0;48;2;0;0;0m"
    )


def test_a_large_image_is_made_to_fit(half_red):
    assert shown.draw_in_text(half_red, 8).splitlines()[0].count(shown.UPPER_HALF) == 8
    assert shown.draw_in_text(half_red[:1, :1], 80).count(shown.UPPER_HALF) == 1


def test_on_a_desktop_a_window_opens_and_nothing_is_printed(half_red, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr(shown, "has_windows", lambda: True)
    monkeypatch.setattr(ImageShow, "show", lambda image, **_: opened.append(image.size) or True)
    shown.show(half_red)
    assert opened == [(20, 40)] and capsys.readouterr().err == ""


def test_a_session_over_ssh_has_no_windows(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSH_CONNECTION", "1 2 3 4")
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr("sys.platform", platform)
        assert not shown.has_windows()
    monkeypatch.setenv("DISPLAY", ":0")
    assert shown.has_windows()
