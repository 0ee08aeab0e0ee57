"""Commands over folders: bad files are skipped, runs go on, processes share the work."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner

from sam2nb.cli import app
from sam2nb.cli.processes import Processes

ROOT = Path(__file__).resolve().parents[2]
MODEL = ("--model", "sam2nb_nano", "--image-size", "64", "--device", "cpu")
OPEN = ("--points-per-side", "3", "--pred-iou", "0", "--stability", "0")
AUTO = ("auto", *MODEL, *OPEN, "--format", "coco,yolo,labels,overlay,geojson,polygons,cvat,labelstudio")
TRACK = ("track", *MODEL, "--click", "20,20", "--masks", "o", "--rle", "o", "--yolo", "y")
LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1")
LAUNCH += ("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0")

# Runs the command of its arguments in a process that kills itself, if it has this number, after two files.
KILLED = """
import os, signal, sys
from sam2nb.cli import app, many

original, begun, number = many.RunRecord.add, [], sys.argv.pop(1)

def add_or_die(*args, **options):
    begun.append(args)
    if os.environ["RANK"] == number and len(begun) == 3:
        os.kill(os.getpid(), signal.SIGKILL)  # its results are written, but not noted
    original(*args, **options)

many.RunRecord.add = add_or_die
app()
"""


def picture(seed: int, size_hw=(40, 56)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize(size_hw[::-1], Image.Resampling.BICUBIC)


class Lonely:
    """The state of a process that nobody told of the others."""

    num_processes, process_index = 1, 0

    def __init__(self, **_):
        pass


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Nine images in a folder and one in it, one that cannot be read, and a file of another kind."""
    folder = tmp_path_factory.mktemp("given") / "photos"
    (folder / "pets").mkdir(parents=True)
    for seed in range(9):
        picture(seed).save(folder / ("pets" if seed % 3 == 0 else "") / f"{seed}.png")
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("no image either")
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Six videos of three frames, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("given") / "clips"
    for video in range(6):
        (folder / f"v{video}").mkdir(parents=True)
        for index in range(3):
            picture(video).rotate(3 * index).save(folder / f"v{video}" / f"{index}.png")
    (folder / "bad.mp4").write_bytes(b"no video")
    return folder


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_images_in_folders_get_their_files_and_one_coco_json(photos, tmp_path):
    done = run(*AUTO, photos, "--out", tmp_path / "out", "--json", tmp_path / "all.json")
    files = contents(tmp_path / "out")
    assert {"1_coco.json", "pets/0_coco.json", "pets/0.txt", "coco.json", "cvat.xml"} <= files.keys()
    assert not any("bad" in name or "notes" in name for name in files)
    data = COCO(tmp_path / "out" / "coco.json")
    assert [image["file_name"] for image in data.dataset["images"]][:2] == ["1.png", "2.png"]
    assert "pets/0.png" in [image["file_name"] for image in data.dataset["images"]]
    assert len(data.getImgIds()) == 9 and len(set(data.getAnnIds())) == len(data.dataset["annotations"]) > 9
    assert str(done.exception).startswith("1 of 10 could not be read, the others are done:\n  image ")
    assert "bad.png" in str(done.exception)
    left_out = [
        result for result in json.loads((tmp_path / "all.json").read_text())["results"] if "masks" not in result
    ]
    assert [Path(result["image"]).name for result in left_out] == ["bad.png"] and "damaged" in left_out[0]["left_out"]


def test_what_is_reported_is_what_is_in_the_files(photos, tmp_path):
    done = run(*AUTO, photos / "[1-3].png", photos / "pets", "--out", tmp_path / "out", "--json", tmp_path / "all.json")
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads((tmp_path / "all.json").read_text())
    assert [Path(result["image"]).name for result in report["results"]] == [f"{n}.png" for n in (1, 2, 0, 3, 6)]
    first = report["results"][0]
    own = json.loads((tmp_path / "out" / "1_coco.json").read_text())["annotations"]
    assert first["masks"] == own and own[0]["segmentation"]["counts"] and 0 <= own[0]["predicted_iou"] <= 1.1
    assert (tmp_path / "out" / "1_coco.json").as_posix() in first["files"]
    assert all(Path(file).is_file() for file in report["files"])


def test_a_run_goes_on_and_tries_again_what_could_not_be_read(photos, tmp_path):
    words = (*AUTO, photos, "--out", tmp_path / "out")
    run(*words)
    before = contents(tmp_path / "out")
    (tmp_path / "out" / "pets" / "3.txt").unlink()
    again = run(*words, "--resume")
    assert again.output.count("done before") == 8 and "bad.png: left out" in again.output
    assert contents(tmp_path / "out") == before


def test_an_image_that_was_damaged_since_is_no_longer_among_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for seed in range(2):
        picture(seed).save(tmp_path / "in" / f"{seed}.png")
    assert run(*AUTO, "in", "--out", "out").exit_code == 0
    (tmp_path / "in" / "0.png").write_bytes(b"damaged")
    assert "0.png" in str(run(*AUTO, "in", "--out", "out", "--resume").exception)
    images = json.loads((tmp_path / "out" / "coco.json").read_text())["images"]
    assert [image["file_name"] for image in images] == ["1.png"]


def test_results_are_no_images_of_the_next_run(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picture(1).save(tmp_path / "a.png")
    for _ in range(2):
        assert run(*AUTO, ".").exit_code == 0
    assert len(json.loads((tmp_path / "masks" / "coco.json").read_text())["images"]) == 1
    refused = run(*AUTO, ".", "--out", ".")
    assert "'.' holds the images to read: give another --out" in str(refused.exception)


def test_a_full_disk_is_no_bad_image(photos, tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sam2nb.export.masks.save_formats", no_space)
    done = run(*AUTO, photos, "--out", tmp_path / "out")
    assert "No space left" in str(done.exception) and not contents(tmp_path / "out").get("coco.json")


def test_each_video_has_its_own_files_and_all_one_coco_json(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*TRACK, clips, "--out", "v")
    assert "1 of 7 could not be read" in str(done.exception) and "bad.mp4" in str(done.exception)
    files = contents(tmp_path)
    expected = {"v/v0_tracked.mp4", "o/v0/00002.png", "o/v0_tracks.json", "y/v0/data.yaml", "y/v5/labels/00001.txt"}
    assert expected | {"o/coco.json", "v/track_run.json"} <= files.keys()
    data = COCO(tmp_path / "o" / "coco.json").dataset
    assert [video["name"] for video in data["videos"]] == [f"v{n}" for n in range(6)]
    assert [(image["video_id"], image["frame_index"]) for image in data["images"]][2:5] == [(1, 2), (2, 0), (2, 1)]
    again = run(*TRACK, clips, "--out", "v", "--resume")
    assert again.output.count("done before") == 6 and contents(tmp_path) == files


def test_several_videos_take_masks_of_their_own_and_keep_their_sessions(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first").mkdir()
    labels = np.zeros((40, 56), np.uint8)
    labels[10:25, 10:30] = 7
    for name in ("v0", "v1"):
        Image.fromarray(labels).save(tmp_path / "first" / f"{name}.png")
    words = ("track", *MODEL, clips / "v[0-2]", "--mask", "first", "--masks", "o", "--session", "s")
    done = run(*words, "--json", "-")
    assert "there is no file 'first/v2.png' for the video 'v2'" in str(done.exception)
    assert set(np.unique(np.asarray(Image.open(tmp_path / "o" / "v0" / "00000.png")))) == {0, 7}
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["v0.session", "v1.session"]
    Image.fromarray(labels).save(tmp_path / "first" / "v2.png")
    done = run(*words, "--resume", "--json", "-")
    assert done.exit_code == 0, (done.output, done.exception)
    results = json.loads(done.stdout)["results"]
    assert [len(result["frames"]) for result in results] == [3, 3, 3]
    assert results[0]["frames"][0]["objects"][0].keys() == {"id", "name", "score", "presence", "area", "segmentation"}


def test_outputs_of_several_videos_must_be_folders(clips, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("track", clips, "--everything", "--out", "all.mp4")
    assert "--yolo are folders, got 'all.mp4'" in str(done.exception)


def test_a_process_on_its_own_does_all_and_asks_nobody(monkeypatch):
    alone = Processes.join("cpu")
    assert alone.is_main and alone.share([1, 2, 3]) == [1, 2, 3] and alone.agree(lambda: 5) == 5
    assert alone.device("cuda:1") == "cuda:1" and alone.device(None) is None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("accelerate.PartialState", Lonely)
    with pytest.raises(ValueError, match="do not know of each other: start them by accelerate launch or torchrun"):
        Processes.join("cpu")
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ValueError, match="several processes need accelerate: pip install accelerate"):
        Processes.join("cpu")


# Without --out: x264 writes one of several equally good files, whatever else happens.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "number"), [((*AUTO, "--out", "o"), "1"), (TRACK, "0")], ids=["auto", "track, the main one"]
)
def test_two_processes_one_of_them_killed_end_with_the_files_of_one(
    words, number, photos, clips, tmp_path, monkeypatch
):
    words = (*words, str(photos if words[0] == "auto" else clips), "--resume")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    run(*words)
    (tmp_path / "killed.py").write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def launch(*program):
        command = [sys.executable, *LAUNCH, *program, *words]
        options = {"cwd": tmp_path / "two", "env": environment, "timeout": 300}
        return subprocess.run(command, capture_output=True, text=True, **options)

    killed = launch(str(tmp_path / "killed.py"), number)
    assert killed.returncode != 0 and f"Signal {signal.SIGKILL.value}" in killed.stderr, killed.stderr
    left = contents(tmp_path / "two")
    assert "o/coco.json" not in left and any(name.endswith(f".{number}.jsonl") for name in left)
    done = launch("-m", "sam2nb")
    assert done.returncode == 0 and "could not be read, the others are done" in done.stderr, done.stderr
    assert done.stdout.count("done before") >= 2
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
