"""The Python side of the file widget: pieces in, one file out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2nb.widgets.file import LONGEST_NAME, FileWidget, safe_name


class Browser:
    """What the JavaScript does: send a file in pieces, and keep the answers."""

    def __init__(self, widget):
        self.answers = []
        self.widget = widget
        widget.send = lambda content, buffers=None: self.answers.append(content)

    def send(self, name, data, piece=4, skip=None):
        for number, start in enumerate(range(0, max(len(data), 1), piece)):
            if start != skip:
                content = {"name": name, "start": start, "size": len(data), "request": number}
                self.widget._receive(None, content, [memoryview(data[start : start + piece])])
        return self.answers[-1]


@pytest.fixture
def taken():
    return []


@pytest.fixture
def browser(tmp_path, taken):
    def take(path):
        taken.append(path)
        return f"{path.name} is here"

    return Browser(FileWidget("picture", "upload", 100, tmp_path / "own", take))


@given(data=st.binary(max_size=100), piece=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_a_file_arrives_whole_whatever_its_pieces(data, piece, tmp_path_factory):
    kept = []
    widget = FileWidget("clip", "upload", 100, tmp_path_factory.mktemp("own"), lambda path: kept.append(path) or "ok")
    answer = Browser(widget).send("a.mp4", data, piece)
    assert answer["taken"] == "ok" and kept[-1].read_bytes() == data


def test_every_piece_is_answered_and_the_last_one_with_the_sentence(browser, taken):
    assert browser.send("my cat.jpg", b"0123456789")["taken"] == "my_cat.jpg is here"
    assert [answer["request"] for answer in browser.answers] == [0, 1, 2] and len(taken) == 1


def test_a_lost_piece_is_reported_and_the_next_file_arrives(browser, taken):
    browser.send("a.jpg", b"0123456789ab", skip=4)
    assert "did not arrive whole" in browser.answers[-1]["problem"] and taken == []
    browser.send("a.jpg", b"0123")
    assert taken[0].read_bytes() == b"0123"


def test_more_bytes_than_the_limit_are_refused(browser, taken):
    assert "problem" in browser.send("a.jpg", bytes(101), piece=60) and taken == []


def test_a_file_that_is_refused_is_told_in_one_line(tmp_path):
    def refuse(path):
        raise ValueError(f"{path.name} is not an image\nand more")

    answer = Browser(FileWidget("picture", "webcam", 100, tmp_path, refuse)).send("a.jpg", b"x")
    assert "a.jpg is not an image" in answer["problem"] and "more" not in answer["problem"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../etc/passwd", "passwd"), (".profile", "profile"), ("a b\n.jpg", "a_b_.jpg"), ("", "file"), ("..", "file")],
)
def test_a_name_from_elsewhere_leads_to_no_other_folder(name, safe):
    assert safe_name(name) == safe


def test_a_long_name_keeps_its_ending():
    name = safe_name("x" * 300 + ".jpeg")
    assert len(name) == LONGEST_NAME and name.endswith(".jpeg")
