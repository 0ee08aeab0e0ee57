"""A picture, a photo and a recording of one's own in a real JupyterLab, with Chromium's pretended camera."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.browser.laboratory import Notebook, axe_faults, chromium, jupyterlab, write_notebook

pytestmark = [pytest.mark.slow, pytest.mark.browser]

START = "from sam2nb.notebook import setup\nlab = setup(quiet=True)"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
CELLS = 'lab.picture("upload");', 'lab.picture("webcam");', 'lab.clip("webcam");'
UPLOAD, PHOTO, RECORDING = range(3)  # the widgets, in this order


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    write_notebook(folder / "own.ipynb", START, *CELLS)
    with chromium(1280, 900, *CAMERA) as browser, jupyterlab(folder) as address:
        opened = Notebook(browser, address, "own.ipynb")
        opened.run_all()
        opened.wait("document.querySelectorAll('.sam2nb-file').length === 3")
        yield opened


def node(number: int, selector: str) -> str:
    return f"document.querySelectorAll('.sam2nb-file')[{number}].querySelector('{selector}')"


def press(notebook, number: int, action: str) -> None:
    button = node(number, f'[data-action="{action}"]')
    notebook.wait(f"{button} && !{button}.disabled")
    notebook.script(f"{button}.click()")


def test_a_picture_of_several_megabytes_arrives_whole(notebook, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "my noise.png")
    assert (tmp_path / "my noise.png").stat().st_size > 3_000_000
    notebook.script(f"return {node(UPLOAD, 'input')}").send_keys(str(tmp_path / "my noise.png"))
    notebook.wait(f"{node(UPLOAD, '[role=status]')}.textContent.includes('run this cell again')")
    printed = notebook.run_new_cell("rgb = lab.picture('upload', longest=None); print(rgb[5, 7].tolist())")
    assert printed.endswith(str(noise[5, 7].tolist())) and "my_noise.png, 1200 x 900 pixels" in printed


def test_a_file_that_is_no_picture_is_told_beside_the_field(notebook, tmp_path):
    (tmp_path / "words.png").write_text("hello")
    notebook.script(f"return {node(UPLOAD, 'input')}").send_keys(str(tmp_path / "words.png"))
    notebook.wait(f"{node(UPLOAD, '.sam2nb-problem')}?.textContent.includes('not an image')")


def test_a_photo_is_taken_with_the_camera(notebook):
    press(notebook, PHOTO, "camera")
    press(notebook, PHOTO, "shoot")
    notebook.wait(f"{node(PHOTO, '[role=status]')}.textContent.includes('run this cell again')")
    assert "picture: photo.jpg, 640 x 480 pixels" in notebook.run_new_cell("lab.picture('webcam')")
    assert notebook.script(f"return {node(PHOTO, 'video')} === null"), "the camera is off"


def test_a_recording_is_a_clip(notebook):
    press(notebook, RECORDING, "camera")
    press(notebook, RECORDING, "cancel")
    press(notebook, RECORDING, "camera")
    press(notebook, RECORDING, "shoot")
    notebook.wait(f"{node(RECORDING, '[role=status]')}.textContent.includes('run this cell again')")
    printed = notebook.run_new_cell("path = lab.clip('webcam')")
    assert "clip: recording.webm" in printed and int(printed.split(", ")[1].split()[0]) >= 20


def test_the_widgets_are_accessible(notebook):
    assert axe_faults(notebook.browser, ".sam2nb-file") == []
