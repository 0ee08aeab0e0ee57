"""`track --session FILE --resume`: a track that was stopped goes on and ends as if it had not been."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2nb.cli import app, track_session
from sam2nb.media.video import open_frames
from sam2nb.predict.video.tracker import Tracker
from tests.predict.video.clips import COUNT, SIZE_HW, frame, small_model

BOXES = ("--box", "8,10,28,30", "--box", "30,2,50,20")

# Runs the command of its arguments in a process that kills itself when it has begun a number of frames.
KILLED = """
import os, signal, sys
from sam2nb.cli import app, options, track_session
from sam2nb.predict.video.tracker import Tracker
from tests.predict.video.clips import small_model

options.load_chosen_model = lambda *_: small_model()
track_session.SAVE_SECONDS = track_session.SAVE_SHARE = 0
original, left = Tracker.track, [int(sys.argv.pop(1))]

def track_or_die(*args):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    original(*args)

Tracker.track = track_or_die
app()
"""


class Stopped(BaseException):
    """As if the user had pressed Ctrl-C."""


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    for index in range(COUNT):
        Image.fromarray(frame(index)).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def command(monkeypatch, model, clip, tmp_path):
    """Run `track` on the clip, with a session; `.tracked` are the frames that it tracked."""
    monkeypatch.setattr("sam2nb.cli.options.load_chosen_model", lambda *_: model)
    original, tracked = Tracker.track, []

    def track(self, session, index, reverse=False):
        if len(tracked) == run.stop_after:
            raise Stopped
        tracked.append(index)
        original(self, session, index, reverse)

    monkeypatch.setattr(Tracker, "track", track)

    def run(name, *words, session=True, stop_after=None):
        tracked.clear()
        run.stop_after = stop_after
        return CliRunner().invoke(app, words_of(clip, tmp_path, name, *words, session=session))

    run.tracked, run.stop_after = tracked, None
    return run


def words_of(clip, folder, name, *words, session=True) -> list[str]:
    given = [clip, "--masks", folder / name, "--rle", folder / f"{name}.json", "--out", folder / f"{name}.mp4", *words]
    given += ["--session", folder / f"{name}.session"] if session else []
    return ["track", *map(str, given)]


def same_files(folder, left: str, right: str) -> bool:
    pairs = [(folder / f"{left}.json", folder / f"{right}.json")]
    pairs += [(file, folder / right / file.name) for file in sorted((folder / left).iterdir())]
    assert len(open_frames(folder / f"{left}.mp4")) == len(open_frames(folder / f"{right}.mp4")) == len(pairs) - 1
    return all(one.read_bytes() == two.read_bytes() for one, two in pairs)


@pytest.mark.parametrize(
    ("options", "stop_after"),
    [
        (BOXES, 4),
        ((*BOXES, "--memory", "match"), 3),
        (("--click", "20,20", "--frame", 4, "--both-ways"), 2),  # on the way back
        (("--click", "20,20", "--frame", 4, "--both-ways"), 4),  # before the first frame of the clip
        (("--click", "20,20", "--frame", 4, "--both-ways"), 7),  # on the way forth
    ],
    ids=str,
)
def test_a_stopped_track_goes_on_and_writes_the_same_files(command, tmp_path, options, stop_after):
    whole = command("whole", *options, session=False)
    assert whole.exit_code == 0, whole.output
    everything = list(command.tracked)
    with pytest.raises(Stopped):
        raise command("out", *options, stop_after=stop_after).exception
    done = command("out", *options, "--resume")
    assert done.exit_code == 0, (done.output, done.exception)
    assert command.tracked == everything[stop_after - 1 :]
    assert same_files(tmp_path, "out", "whole")
    counted = next(line for line in whole.output.splitlines() if "frames" in line)
    assert counted in done.output
    again = command("out", *options, "--resume")  # nothing is left to do but the last frame
    assert again.exit_code == 0 and len(command.tracked) == 1 and same_files(tmp_path, "out", "whole")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_loses_nothing_that_was_saved(command, clip, tmp_path):
    command("whole", *BOXES, session=False)
    words = [sys.executable, "-c", KILLED, "4", *words_of(clip, tmp_path, "out", *BOXES)]
    root = str(Path(__file__).resolve().parents[2])
    killed = subprocess.run(words, env={**os.environ, "PYTHONPATH": root}, capture_output=True, cwd=root)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = command("out", "--resume")  # the prompts are in the session
    assert done.exit_code == 0, done.exception
    assert "goes on at frame 3 of 8" in done.output and command.tracked == [3, 4, 5, 6, 7]
    assert same_files(tmp_path, "out", "whole")


def test_without_a_session_to_go_on_with_the_track_begins(command):
    begun = command("out", *BOXES, "--resume")
    assert begun.exit_code == 0 and "goes on" not in begun.output and len(command.tracked) == COUNT
    refused = command("other", "--resume")
    assert "nothing to track" in str(refused.exception)


def test_a_session_alone_is_enough_to_write(command, clip, tmp_path):
    words = ["track", str(clip), *BOXES, "--session", str(tmp_path / "a.session")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and f"wrote {tmp_path / 'a.session'}" in done.output


def test_options_that_would_lose_or_mix_work_are_refused(command, clip, tmp_path):
    command("out", *BOXES)
    assert "out.session exists: add --resume" in str(command("out", *BOXES).exception)
    assert "--resume needs the file" in str(command("out", *BOXES, "--resume", session=False).exception)
    for other in (BOXES[:2], ("--box", "8,10,28,30", "--box", "30,2,50,21"), (*BOXES, "--frame", 1)):
        assert "out.session was begun with other prompts" in str(command("out", *other, "--resume").exception)
    refused = command("out", *BOXES, "--memory", "match", "--resume")
    assert "tracked with memory='official', here it is 'match'" in str(refused.exception)


def test_a_label_map_is_compared_too(command, tmp_path):
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[10:30, 8:28] = 3
    Image.fromarray(labels).save(tmp_path / "labels.png")
    command("out", "--mask", tmp_path / "labels.png")
    assert command("out", "--mask", tmp_path / "labels.png", "--resume").exit_code == 0
    labels[10, 8] = 0
    Image.fromarray(labels).save(tmp_path / "labels.png")
    refused = command("out", "--mask", tmp_path / "labels.png", "--resume")
    assert "begun with other prompts" in str(refused.exception)


def test_a_session_that_cannot_be_saved_on_the_way_is_a_warning(command, monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(track_session, "SAVE_SECONDS", 0)
    saves = []

    def refuse(*args):
        saves.append(args)
        raise OSError("no space left")

    monkeypatch.setattr("sam2nb.predict.video.predictor.save_session", refuse)
    done = command("out", *BOXES)
    assert len(command.tracked) == COUNT  # tracking went on
    assert "the session is not saved: no space left" in caplog.text
    assert "no space left" in str(done.exception)  # at the end it is an error


def test_large_sessions_are_saved_less_often(model, clip, tmp_path, monkeypatch):
    from sam2nb import SAM2VideoPredictor

    clock = iter([0.0, 31.0, 41.0, 100.0, 230.0, 242.0, 300.0]).__next__
    monkeypatch.setattr(track_session.time, "monotonic", lambda: clock())
    predictor = SAM2VideoPredictor(model, progress=False)
    propagation = track_session.Propagation(predictor, predictor.init_state(clip), tmp_path / "a")
    assert propagation._next == track_session.SAVE_SECONDS
    propagation.save()  # takes ten seconds
    assert propagation._next == 41 + track_session.SAVE_SHARE * 10
