"""Pictures and clips of one's own: every kind of source, and a default wherever nobody can choose."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
import sys
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from sam2nb import notebook
from sam2nb.media.video import open_frames
from sam2nb.media.video_writer import VideoWriter
from sam2nb.notebook import colab, own
from sam2nb.weights import transfer
from tests.weights.server import running_server


@pytest.fixture(scope="module")
def lab():
    return notebook.setup(quiet=True)


@pytest.fixture(autouse=True)
def nothing_received(monkeypatch):
    monkeypatch.setattr(own, "_received", {})


@pytest.fixture
def server():
    transfer.forget_unreachable()
    with running_server() as server:
        yield server
    transfer.forget_unreachable()


@pytest.fixture
def in_jupyter(monkeypatch):
    """The widgets that a notebook would show."""
    shown = []
    monkeypatch.setattr(own, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


def encoded(size=(40, 30), kind="PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (10, 20, 30)).save(file, kind)
    return file.getvalue()


@pytest.fixture
def film(tmp_path):
    path = tmp_path / "film.mp4"
    with VideoWriter(path, fps=25) as writer:
        for shade in range(12):
            writer.add(np.full((48, 80, 3), shade * 20, np.uint8))
    return path


# Pictures


def test_without_a_source_the_picture_is_the_default(lab, printed):
    assert (lab.picture() == notebook.photo("coffee")).all()
    assert printed() == "picture: coffee, 600 x 400 pixels"
    assert lab.picture(default="cat").shape == notebook.photo("cat").shape
    assert (lab.picture("cat") == notebook.photo("cat")).all()


def test_a_picture_comes_from_a_path_an_array_or_pil(lab, tmp_path, printed):
    path = tmp_path / "grey.png"
    Image.new("L", (40, 30), 7).save(path)
    for source in (path, str(path), np.full((30, 40), 7, np.uint8), Image.new("L", (40, 30), 7)):
        rgb = lab.picture(source)
        assert rgb.shape == (30, 40, 3) and rgb.dtype == np.uint8 and (rgb == 7).all()
    assert printed().splitlines()[0] == "picture: grey.png, 40 x 30 pixels"


def test_a_large_picture_is_shrunk_and_says_so(lab, printed):
    large = np.zeros((300, 5000, 3), np.uint8)
    assert lab.picture(large).shape == (123, 2048, 3)
    assert "shrunk from 5000 x 300" in printed()
    assert lab.picture(large, longest=None).shape == large.shape


def test_a_missing_file_names_what_would_be_right(lab):
    with pytest.raises(FileNotFoundError, match="no file 'nowhere.jpg'.*https.*upload.*webcam.*astronaut"):
        lab.picture("nowhere.jpg")
    with pytest.raises(FileNotFoundError, match="no file 'nowhere.mp4'.*the clip must.*big_buck_bunny"):
        lab.clip("nowhere.mp4")


def test_a_file_that_is_no_picture_is_refused(lab, tmp_path):
    (tmp_path / "a.jpg").write_text("hello")
    with pytest.raises(ValueError, match="not an image"):
        lab.picture(tmp_path / "a.jpg")


# Addresses


def test_a_picture_comes_from_an_address_and_is_fetched_once(lab, server, printed):
    server.files["/my%20cat.png"] = encoded()
    for _ in range(2):
        assert lab.picture(f"{server.url}/my%20cat.png").shape == (30, 40, 3)
    assert len(server.requests) == 1 and "picture: my cat.png, 40 x 30 pixels" in printed()


def test_a_clip_comes_from_an_address(lab, server, film):
    server.files["/film.mp4"] = film.read_bytes()
    assert len(open_frames(lab.clip(f"{server.url}/film.mp4"))) == 12


def test_an_address_without_a_picture_is_an_error_of_one_line(lab, server):
    server.files["/a.png"] = b"hello"
    with pytest.raises(OSError, match="the file is not a picture"):
        lab.picture(f"{server.url}/a.png")
    with pytest.raises(OSError, match="404"):
        lab.picture(f"{server.url}/b.png")
    server.files["/page"], server.content_type = b"<html>", "text/html"
    with pytest.raises(OSError, match="a web page came"):
        lab.picture(f"{server.url}/page")


def test_a_file_above_the_limit_is_refused_before_it_is_read(lab, server, monkeypatch):
    monkeypatch.setattr(own, "PICTURE", own.Kind("picture", 50, own.PICTURE.describe, own.PICTURE.names))
    server.files["/a.png"] = encoded()
    with pytest.raises(OSError, match="more than 0 MB"):
        lab.picture(f"{server.url}/a.png")


def test_without_a_network_an_address_becomes_the_default(lab, printed):
    transfer.forget_unreachable()
    assert (lab.picture("http://127.0.0.1:9/a.png", default="cat") == notebook.photo("cat")).all()
    line = printed()
    assert line.startswith("picture: cat, ") and "not reachable" in line


# Clips


def test_without_a_source_the_clip_is_the_default(lab, printed):
    assert lab.clip() == notebook.clip_path("big_buck_bunny")
    assert printed() == "clip: big_buck_bunny, 30 frames of 640 x 360 pixels"
    assert len(open_frames(lab.clip("fluent_00"))) == 24


def test_a_short_clip_is_used_as_it_is(lab, film, printed):
    assert lab.clip(film) == film
    assert printed() == "clip: film.mp4, 12 frames of 80 x 48 pixels"


def test_a_long_or_large_clip_is_cut_and_shrunk(lab, film, printed):
    frames = open_frames(lab.clip(film, frames=5, longest=40))
    assert len(frames) == 5 and frames.size_hw == (24, 40)
    assert "5 frames of 40 x 24 pixels, made from 12 frames of 80 x 48" in printed()
    assert abs(int(frames[4].mean()) - 80) < 8, "the first frames, in their order"


def test_frames_are_passed_on(lab):
    frames = [np.zeros((20, 30, 3), np.uint8)] * 3
    assert lab.clip(frames) is frames


# A person


@pytest.mark.parametrize("way", ["upload", "webcam"])
def test_outside_a_notebook_the_default_stands_in_for_a_person(lab, way, printed):
    assert (lab.picture(way) == notebook.photo("coffee")).all()
    assert "no notebook here to ask in" in printed()


@pytest.mark.parametrize("way", ["upload", "webcam"])
def test_in_jupyter_the_default_is_returned_until_a_file_came(lab, way, in_jupyter, printed):
    assert (lab.picture(way) == notebook.photo("coffee")).all()
    assert "until you give a picture above and run this cell again" in printed()
    widget = in_jupyter[0]
    assert widget.way == way and widget.limit == own.PICTURE.limit
    data = encoded()
    widget._receive(None, {"name": "me.png", "start": 0, "size": len(data)}, [data])
    assert (lab.picture(way)[0, 0] == (10, 20, 30)).all()
    assert printed() == "picture: me.png, 40 x 30 pixels" and len(in_jupyter) == 2


def test_an_upload_that_is_no_picture_changes_nothing(lab, in_jupyter):
    lab.picture("upload")
    answers = []
    in_jupyter[0].send = lambda content, *_: answers.append(content)
    in_jupyter[0]._receive(None, {"name": "a.png", "start": 0, "size": 1}, [b"x"])
    assert "not an image" in answers[0]["problem"] and own._received == {}


def test_a_clip_that_was_uploaded_is_used(lab, in_jupyter, film):
    lab.clip("upload")
    data = film.read_bytes()
    in_jupyter[0]._receive(None, {"name": "film.mp4", "start": 0, "size": len(data)}, [data])
    assert len(open_frames(lab.clip("upload"))) == 12


# Colab


@pytest.fixture
def in_colab(monkeypatch):
    """Google Colab's modules: `files.upload` gives `given`, `output.eval_js` gives `taken` and keeps the script."""
    package, files, output = (ModuleType(name) for name in ("google.colab", "files", "output"))
    package.files, package.output = files, output
    package.given, package.taken, package.scripts = {}, ["", ""], []
    files.upload = lambda: package.given
    output.eval_js = lambda script: package.scripts.append(script) or package.taken
    google = ModuleType("google")
    google.colab = package
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(own, "in_notebook", lambda: True)
    return package


def test_in_colab_a_picture_is_uploaded(lab, in_colab, printed):
    in_colab.given = {"me (1).png": encoded()}
    assert (lab.picture("upload")[0, 0] == (10, 20, 30)).all()
    assert printed() == "picture: me_1_.png, 40 x 30 pixels"


def test_in_colab_a_photo_is_taken(lab, in_colab, tmp_path):
    in_colab.taken = ["photo.jpg", "data:image/jpeg;base64," + base64.b64encode(encoded(kind="JPEG")).decode()]
    assert lab.picture("webcam").shape == (30, 40, 3)
    [script] = in_colab.scripts
    assert "takeWithCamera(area" in script and "import " not in script and "{kind}" not in script
    if shutil.which("node"):
        (tmp_path / "taken.mjs").write_text(f"await {script}", encoding="utf-8")
        done = subprocess.run(["node", "--check", tmp_path / "taken.mjs"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["upload", "webcam"])
def test_in_colab_a_cancelled_choice_gives_the_default_or_what_came_before(lab, way, in_colab, printed):
    assert (lab.picture(way) == notebook.photo("coffee")).all()
    assert printed() == "picture: coffee, 600 x 400 pixels"


def test_in_colab_a_camera_that_is_not_allowed_is_told_in_one_line(lab, in_colab, monkeypatch, printed):
    def refuse(script):
        raise RuntimeError("NotAllowedError: Permission denied\nstack")

    monkeypatch.setattr(in_colab.output, "eval_js", refuse)
    assert (lab.picture("webcam") == notebook.photo("coffee")).all()
    assert printed().splitlines()[0] == "no picture was received: NotAllowedError: Permission denied"


def test_in_colab_a_file_above_the_limit_is_refused(in_colab, tmp_path):
    in_colab.given = {"a.png": bytes(2_000_000)}
    with pytest.raises(ValueError, match="a.png has 2 MB, more than the limit of 1 MB"):
        colab.ask("picture", "upload", tmp_path, 1_000_000)


def test_in_colab_checkpoints_are_kept_on_drive_on_request(in_colab, monkeypatch, printed):
    mounted = []
    in_colab.drive = ModuleType("drive")
    in_colab.drive.mount = mounted.append
    in_colab.output.enable_custom_widget_manager = lambda: None
    monkeypatch.setenv("SAM2NB_CHECKPOINTS", "x")
    monkeypatch.delenv("SAM2NB_CHECKPOINTS")
    notebook.setup(drive=True)
    assert mounted == ["/content/drive"] and os.environ["SAM2NB_CHECKPOINTS"] == "/content/drive/MyDrive/sam2nb"
    first, _, *more = printed().splitlines()
    assert first == "checkpoints are kept in /content/drive/MyDrive/sam2nb" and more in ([], [colab.GPU_HINT])


def test_elsewhere_drive_changes_nothing(printed):
    notebook.setup(quiet=True, drive=True)
    assert "for Google Colab" in printed()
