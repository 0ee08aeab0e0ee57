"""The Python side of the video widget: prompts and propagation in, masks, a script and files out."""

from __future__ import annotations

import base64
import io
import threading
import time
import zipfile

import matplotlib
import numpy as np
import pytest
from PIL import Image

matplotlib.use("Agg")

from sam2nb import SAM2VideoPredictor
from sam2nb.media.video import FrameList
from sam2nb.media.video_file import VideoEndedEarly
from sam2nb.widgets.video_prompt import VideoPromptWidget
from tests.predict.video.clips import COUNT, SIZE_HW, frame, small_model
from tests.widgets.test_explorer import unpack

CLIP = [frame(index) for index in range(COUNT)]
CUP = {"frame": 0, "object": "cup", "points": [[20, 20]]}
PATIENCE = 60  # seconds for a thread of a few frames


@pytest.fixture(scope="module")
def predictor():
    return SAM2VideoPredictor(small_model(), progress=False)


@pytest.fixture
def widget(predictor):
    return VideoPromptWidget(predictor, CLIP, prompts=[CUP])


class Browser:
    """What the JavaScript does: change traits, and send requests whose answers it keeps with all other messages."""

    def __init__(self, widget):
        self.widget, self.messages, self.came = widget, [], threading.Event()
        widget.send = self.receive

    def receive(self, content, buffers=None):
        self.messages.append((content, buffers))
        self.came.set()

    def set(self, **traits):
        self.widget.set_state(traits)

    def ask(self, **content):
        request = f"r{len(self.messages)}"
        self.widget._handle_custom_msg({**content, "request": request}, [])
        self.wait(lambda: any(c.get("request") == request for c, _ in self.messages))
        return next((c, b) for c, b in self.messages if c.get("request") == request)

    def of_kind(self, kind):
        return [(content, buffers) for content, buffers in self.messages if content.get("kind") == kind]

    def wait(self, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "nothing came"
            self.came.wait(0.05)
            self.came.clear()


def ask_for_frame(browser, number, picture=False):
    """The answer to a request for one frame."""
    content, buffers = browser.ask(kind="frames", frames=[{"frame": number, "picture": picture}])
    return content["frames"][0], buffers


def same(masks, others):
    """Whether masks by frame and name are equal, and there are some."""
    assert len(masks) > 0 and list(masks) == list(others)
    for number in masks:
        assert list(masks[number]) == list(others[number])
        assert all((masks[number][name] == others[number][name]).all() for name in masks[number])
    return True


def rerun(widget, predictor, **names):
    names = {"predictor": predictor, "video": CLIP, **names}
    exec(widget.code(), names)
    return names["masks"]


def test_the_first_prompts_are_answered_at_once_and_propagated_by_a_method(widget):
    assert list(widget.masks) == [0] and widget.masks[0]["cup"].shape == SIZE_HW
    assert widget.status.startswith("cup: predicted IoU")
    assert widget.propagate() == COUNT
    assert list(widget.masks) == list(range(COUNT)) and list(widget.masks[5]) == ["cup"]
    assert widget.status == f"{COUNT} frames were tracked." and not widget.running


def test_masks_are_those_of_the_predictor(widget, predictor):
    session = predictor.init_state(CLIP)
    predictor.add_new_points_or_box(session, 0, 1, [[20, 20]], [1])
    widget.propagate()
    for result in predictor.propagate_in_video(session):
        assert (widget.masks[result.frame_idx]["cup"] == (result.masks[0, 0] > 0).numpy()).all()


def test_the_code_gives_the_same_masks_after_corrections_locks_and_propagation_in_parts(widget, predictor):
    widget.prompt(2, "plate", box=[30, 5, 50, 30])
    widget.propagate("forward", max_frames=3)
    widget.locked = [1]
    widget.prompt(3, "cup", [[30, 20]], [0])
    widget.propagate("both")
    widget.prompt(3, "cup", [[12.5, 22]])
    assert same(widget.masks, rerun(widget, predictor))
    assert "track.lock(1)" in widget.code() and "reverse=True" in widget.code() and widget.script == widget.code()


def test_masks_of_a_locked_frame_stay(widget):
    widget.propagate()
    before, other = widget.masks[4]["cup"], widget.masks[5]["cup"]
    widget.locked = [4]
    assert (widget.masks[4]["cup"] == before).all()
    widget.prompt(0, "cup", [[45, 35], [2, 2]], [1, 0])
    widget.propagate()
    assert (widget.masks[4]["cup"] == before).all() and (widget.masks[5]["cup"] != other).any()
    with pytest.raises(ValueError, match="frame 4 is locked"):
        widget.prompt(4, "cup", [[1, 1]])
    [track] = widget.session.objects.values()
    kept = track.bank[4]
    widget.locked = []
    assert (widget.masks[4]["cup"] == before).all()
    widget.propagate(start=0)
    assert track.bank[4] is not kept, "it is tracked again"


def test_a_correction_lasts(widget):
    widget.propagate()
    widget.prompt(5, "cup", box=[2, 2, 20, 20])
    corrected = widget.masks[5]["cup"]
    widget.propagate()
    assert (widget.masks[5]["cup"] == corrected).all()
    assert widget._annotation.steps[-1].reverse, "both ways from the correction"


def test_undo_before_propagation_leaves_no_trace(widget):
    browser, before, code = Browser(widget), widget.masks[0]["cup"], widget.code()
    [state] = widget.objects
    more = {**state, "frames": {"0": {"points": [[20, 20, 1], [30, 8, 0]], "box": []}}}
    browser.set(objects=[more])
    assert (widget.masks[0]["cup"] != before).any()
    browser.set(objects=[state])
    assert (widget.masks[0]["cup"] == before).all() and widget.code() == code
    browser.set(objects=[{**state, "frames": {}}])
    assert len(widget.masks) == 0 and not widget.session.objects and widget.prompts == []
    assert widget.code().startswith("# There is no prompt yet")


def test_undo_after_propagation_prompts_again_and_the_code_says_so(widget, predictor):
    browser = Browser(widget)
    [state] = widget.objects
    browser.set(objects=[{**state, "frames": {**state["frames"], "3": {"points": [[30, 8, 1], [5, 5, 0]], "box": []}}}])
    widget.propagate()
    browser.set(objects=[{**state, "frames": {**state["frames"], "3": {"points": [[30, 8, 1]], "box": []}}}])
    assert "clear_all_prompts_in_frame(session, 3, 1" in widget.code()
    assert same(widget.masks, rerun(widget, predictor))
    browser.set(objects=[state])
    widget.propagate()
    assert same(widget.masks, rerun(widget, predictor))


def test_a_removed_object_returns_with_its_masks_until_the_next_propagation(widget, predictor):
    widget.prompt(1, "plate", [[40, 10]])
    widget.propagate()
    kept, states = {f: widget.masks[f]["plate"] for f in widget.masks}, widget.objects
    browser = Browser(widget)
    browser.set(objects=states[:1])
    assert list(widget.masks[3]) == ["cup"] and "plate" not in widget.code()
    browser.set(objects=states)
    assert all((widget.masks[f]["plate"] == kept[f]).all() for f in kept)
    browser.set(objects=states[:1])
    widget.propagate(start=0)
    assert same(widget.masks, rerun(widget, predictor))
    browser.set(objects=states)
    assert [f for f in widget.masks if "plate" in widget.masks[f]] == [1]
    widget.propagate()
    assert same(widget.masks, rerun(widget, predictor))


def test_an_object_that_gets_other_prompts_after_all_were_cleared_starts_anew(widget, predictor):
    widget.propagate()
    [state] = widget.objects
    browser, kept = Browser(widget), {f: widget.masks[f]["cup"] for f in widget.masks}
    browser.set(objects=[{**state, "frames": {}}])
    assert len(widget.masks) == 0
    browser.set(objects=[state])
    assert all((widget.masks[f]["cup"] == kept[f]).all() for f in kept), "undo brings all of it back"
    browser.set(objects=[{**state, "frames": {}}])
    browser.set(objects=[{**state, "frames": {"2": {"points": [[40, 10, 1]]}}}])
    assert list(widget.masks) == [2] and widget.code().count("predictor.add_new") == 1
    widget.propagate()
    assert same(widget.masks, rerun(widget, predictor))


def test_a_button_propagates_on_a_thread_reports_every_frame_and_stops(widget):
    browser = Browser(widget)
    assert "problem" not in browser.ask(kind="begin", direction="forward")[0]
    browser.wait(lambda: browser.of_kind("scores"))
    content, buffers = ask_for_frame(browser, 0, picture=True)
    assert content["ids"] == [1] and len(buffers) == 4, "answered while the thread works"
    browser.ask(kind="stop")
    browser.wait(lambda: not widget.running)
    first = [c["frame"] for c, _ in browser.of_kind("scores")]
    assert first == list(range(len(first)))
    browser.wait(lambda: not widget._propagation.is_running)
    browser.ask(kind="begin", direction="forward")
    browser.wait(lambda: not widget._propagation.is_running)
    assert [c["frame"] for c, _ in browser.of_kind("scores")] == list(range(COUNT)), "it goes on where it stopped"
    versions = [c["version"] for c, _ in browser.of_kind("scores")]
    assert versions == sorted(set(versions))


def test_a_prompt_while_a_thread_propagates_stops_it_and_is_not_lost(widget, predictor):
    browser, gate, track = Browser(widget), threading.Event(), predictor.tracker.track

    def slow(session, number, reverse=False):
        assert gate.wait(PATIENCE)
        track(session, number, reverse)

    [state] = widget.objects
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(predictor.tracker), "track", lambda self, *rest: slow(*rest))
        browser.ask(kind="begin", direction="both")
        clicked = threading.Thread(
            target=browser.set,
            kwargs={"objects": [state, {"id": 2, "name": "plate", "frames": {"6": {"points": [[40, 10, 1]]}}}]},
        )
        clicked.start()
        browser.wait(lambda: widget._propagation._stopped.is_set())
        gate.set()
        clicked.join(PATIENCE)
    browser.wait(lambda: not widget._propagation.is_running)
    assert len(widget.prompts) == 2 and list(widget.masks[6]) == ["plate"]
    assert len(widget.masks) < COUNT
    widget.propagate()
    assert same(widget.masks, rerun(widget, predictor))


def test_an_exception_while_propagating_is_one_line_and_propagation_goes_on_later(widget, predictor, monkeypatch):
    browser, track = Browser(widget), predictor.tracker.track

    def fails(self, session, number, reverse=False):
        if number == 3:
            raise RuntimeError("out of memory\nTried to allocate")
        track(session, number, reverse)

    monkeypatch.setattr(type(predictor.tracker), "track", fails)
    browser.ask(kind="begin", direction="forward")
    browser.wait(lambda: not widget._propagation.is_running)
    assert widget.status == "RuntimeError: out of memory \u2013 the masks so far and all prompts stay."
    assert list(widget.masks) == [0, 1, 2] and len(widget.prompts) == 1
    with pytest.raises(RuntimeError, match="out of memory"):
        widget.propagate("forward")
    monkeypatch.undo()
    assert widget.propagate("forward") == COUNT - 3
    assert same(widget.masks, rerun(widget, predictor))


def test_a_prompt_that_fails_is_one_line_and_is_tried_again_with_the_next(widget, predictor, monkeypatch):
    browser = Browser(widget)
    [state] = widget.objects

    def fails(*_args, **_options):
        raise RuntimeError("out of memory\nTried to allocate")

    monkeypatch.setattr(type(predictor.tracker), "prompt", fails)
    browser.set(objects=[{**state, "frames": {**state["frames"], "2": {"points": [[30, 8, 1]]}}}])
    assert widget.status == "RuntimeError: out of memory" and len(widget.prompts) == 2 and list(widget.masks) == [0]
    with pytest.raises(RuntimeError, match="out of memory"):
        VideoPromptWidget(predictor, CLIP, prompts=[CUP])
    monkeypatch.undo()
    browser.set(objects=[{**state, "frames": {**state["frames"], "2": {"points": [[30, 8, 1], [3, 3, 0]]}}}])
    assert list(widget.masks) == [0, 2]


def test_a_clip_that_ends_early_is_tracked_as_far_as_it_goes(predictor):
    class Cut(FrameList):
        def __getitem__(self, index):
            if index >= 5:
                raise VideoEndedEarly("clip.mp4", 5, COUNT)
            return super().__getitem__(index)

    widget = VideoPromptWidget(predictor, Cut(CLIP), prompts=[CUP])
    browser = Browser(widget)
    content, _ = ask_for_frame(browser, 7, picture=True)
    assert content["problem"] == f"VideoEndedEarly: clip.mp4 ends early: 5 of {COUNT} frames can be decoded"
    assert widget.count == 5
    other = VideoPromptWidget(predictor, Cut(CLIP), prompts=[CUP])
    assert other.propagate() == 5 and other.count == 5 and "ends early" in other.status


def test_two_widgets_share_a_predictor_and_propagate_at_once(predictor):
    boxed = {"frame": 0, "object": "box", "box": [5, 5, 30, 30]}
    widgets = [VideoPromptWidget(predictor, CLIP, prompts=[given]) for given in (CUP, boxed)]
    browsers = [Browser(widget) for widget in widgets]
    for browser in browsers:
        browser.ask(kind="begin", direction="forward")
    for browser, widget in zip(browsers, widgets, strict=True):
        browser.wait(lambda widget=widget: not widget._propagation.is_running)
        assert widget.propagate(start=0) and same(widget.masks, rerun(widget, predictor))


def test_runs_hold_the_masks_and_only_pictures_that_are_asked_for_travel(widget):
    content, (picture, *runs) = ask_for_frame(Browser(widget), 0, picture=True)
    assert Image.open(io.BytesIO(picture)).size == SIZE_HW[::-1] and content["scores"]["1"][1] > 0
    [mask] = unpack(*(np.frombuffer(part, "<u4") for part in runs), SIZE_HW)
    assert (mask == widget.masks[0]["cup"]).mean() > 0.99
    assert len(ask_for_frame(Browser(widget), 1)[1]) == 3
    assert "frame_idx must be in 0..7" in ask_for_frame(Browser(widget), 99)[0]["problem"]


def test_a_large_video_is_sent_small_and_looked_at_in_its_own_pixels(predictor):
    large = np.zeros((2, 900, 1600, 3), np.uint8)
    browser = Browser(VideoPromptWidget(predictor, large))
    _, (picture, *_) = ask_for_frame(browser, 1, picture=True)
    assert Image.open(io.BytesIO(picture)).size == (800, 450)
    content, (pixels,) = browser.ask(kind="detail", frame=1, region=[100, 50, 400, 200])
    assert content["region"] == [100, 50, 400, 200] and Image.open(io.BytesIO(pixels)).size == (300, 150)


def test_every_format_is_written_by_a_method_and_by_a_button(widget, tmp_path):
    widget.propagate()
    browser = Browser(widget)
    written = {
        name: widget.save(name, tmp_path / f"{name}{end}")
        for name, end in {"coco": ".json", "yolo": "", "cvat": ".xml", "davis": "", "mp4": ".mp4"}.items()
    }
    for name, path in written.items():
        content, (data,) = browser.ask(kind="export", format=name)
        assert content["name"].startswith("tracks")
        if path.is_dir():
            names = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
            packed = zipfile.ZipFile(io.BytesIO(data)).namelist()
            assert names == {name for name in packed if not name.endswith("/")} and len(names) >= COUNT
        elif name != "mp4":
            assert data == path.read_bytes()
    assert b"cup" in written["coco"].read_bytes() and b"cup" in written["cvat"].read_bytes()
    with pytest.raises(ValueError, match="format must be one of coco, yolo, cvat, davis, mp4, got 'gif'"):
        widget.save("gif", tmp_path / "a.gif")


def test_without_a_mask_there_is_nothing_to_write_or_to_track(predictor):
    widget = VideoPromptWidget(predictor, CLIP)
    assert (
        Browser(widget).ask(kind="export", format="coco")[0]["problem"].startswith("ValueError: there is no mask yet")
    )
    with pytest.raises(RuntimeError, match="nothing to track"):
        widget.propagate()
    with pytest.raises(ValueError, match="direction must be one of both, forward, backward, got 'up'"):
        widget.propagate("up")
    assert not widget.running


def test_a_session_that_was_prompted_elsewhere_is_taken_over(predictor):
    session = predictor.init_state(CLIP)
    predictor.add_new_points_or_box(session, 2, "dog", [[20, 20]], [1], box=[4, 6, 30, 32])
    session.objects["dog"].name = "dog"
    widget = VideoPromptWidget(predictor, session)
    [prompt] = widget.prompts
    assert (prompt.frame, prompt.name) == (2, "dog") and np.allclose(prompt.box, [4, 6, 30, 32], atol=0.01)
    assert np.allclose(prompt.points, [[20, 20]], atol=0.01) and list(widget.masks) == [2]
    widget.prompt(2, "dog", [[25, 25]])
    widget.propagate()
    assert len(widget.masks) == COUNT and session.obj_ids == ["dog"]
    fresh = predictor.init_state(CLIP)
    predictor.add_new_points_or_box(fresh, 2, "dog", [[20, 20]], [1], box=[4, 6, 30, 32])
    assert same(widget.masks, rerun(widget, predictor, session=fresh))


def test_names_that_come_twice_are_told_apart_and_reach_the_session(widget):
    widget.prompt(0, "object 2", [[40, 10]])
    browser = Browser(widget)
    browser.set(objects=[{**state, "name": "cat"} for state in widget.objects])
    assert list(widget.masks[0]) == ["cat 1", "cat 2"]
    assert [track.name for track in widget.session.objects.values()] == ["cat", "cat"]


def test_random_weights_are_labelled(widget, random_model):
    assert widget.note == "", "these weights were changed after they were built"
    other = VideoPromptWidget(SAM2VideoPredictor(random_model, progress=False), CLIP)
    assert other.note == "RANDOM WEIGHTS: the masks mean nothing."


def test_what_is_no_predictor_or_no_clip_is_refused(predictor):
    with pytest.raises(TypeError, match="predictor must be a SAM2VideoPredictor, got str"):
        VideoPromptWidget("sam2nb_nano", CLIP)
    with pytest.raises(ValueError, match="video is a stream"):
        VideoPromptWidget(predictor, predictor.stream().session)


def test_a_sheet_of_frames_is_stored_beside_the_live_view(widget):
    widget.propagate()
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == f"VideoPromptWidget: {COUNT} frames were tracked."
    sheet = Image.open(io.BytesIO(base64.b64decode(data["image/jpeg"])))
    assert sheet.width > 400 and sheet.height > 200
    assert Image.open(io.BytesIO(VideoPromptWidget(widget._annotation.predictor, CLIP).static_picture())).width > 100
