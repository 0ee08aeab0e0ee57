"""Every script of examples/ runs on sam2nb_nano, prints numbers and writes its files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"

# What each script writes when it is told to write to `out…`.
WRITES = {
    "point": ("out.jpg",),
    "box": ("out.jpg",),
    "everything": ("out.jpg",),
    "track": ("out.mp4", "out.json"),
    "track_everything": ("out.mp4", "out.json"),
    "detector": ("out.jpg", "out.json", "out_tracks.json"),
    "correct": ("out.jpg",),
    "stream": ("out.mp4",),
    "evaluate": ("out.json",),
    "finetune": ("out.safetensors",),
    "export": ("out/coins_coco.json", "out/coins.txt", "out/coins_labels.png", "out/coins_overlay.jpg"),
    "onnx_track": ("out.npz",),
    "own_configuration": ("out/nano_384.yaml", "out/masks.jpg"),
}
SLOW = {"correct", "evaluate", "finetune"}

# Runs a script with nano wherever it asks for the best checkpoint on disk, which differs from machine to machine.
WITH_NANO = """
import runpy, sys
from sam2nb.weights import registry
import sam2nb.build
sam2nb.build.best_on_disk = lambda **options: registry.find_checkpoint("sam2nb_nano")
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run_example(name: str, out: Path, folder: Path) -> str:
    """Run a script from a folder that is not the repository; its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-c", WITH_NANO, str(EXAMPLES / f"{name}.py"), str(out)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in WRITES])
def test_an_example_prints_numbers_and_writes_its_files(name, tmp_path):
    written = [tmp_path / "results" / file for file in WRITES[name]]
    out = tmp_path / "results" / Path(WRITES[name][0]).parts[0]
    printed = run_example(name, out, tmp_path)
    assert numbers(printed.replace(str(tmp_path), "")), printed
    assert str(written[-1]) in printed
    for file in written:
        assert file.stat().st_size > 0, f"{name}.py wrote nothing into {file.name}"
    results = [float(score) for score in re.findall(r"IoU:? (\d\.\d+)", printed)]
    if name == "correct":
        wrong, corrected, last_before, last_after = results
        assert corrected > wrong + 0.1 and last_after > last_before, "the correction must last"
    if name == "own_configuration":
        trained_size, larger = results
        assert larger >= trained_size
    if name == "finetune":
        before, after = ([float(v) for v in re.findall(r": (\d\.\d+)", line)] for line in printed.splitlines()[:2])
        assert all(new > old + 0.1 for old, new in zip(before, after, strict=True))


def test_every_example_is_listed_with_a_phrase_and_tested():
    scripts = {path.stem for path in EXAMPLES.glob("*.py")}
    assert scripts == set(WRITES)
    table = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in scripts:
        assert f"| `{name}.py` |" in table, f"examples/README.md has no row for {name}.py"


def test_every_example_says_in_two_lines_what_it_shows_and_how_to_run_it():
    for path in EXAMPLES.glob("*.py"):
        first, second = path.read_text(encoding="utf-8").split('"""')[1].split("\n")
        assert first.endswith(".") and len(first) <= 110
        assert second.startswith(f"Run: python examples/{path.name} [")
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 45, f"{path.name} is to be read at a glance"


def test_no_example_shadows_a_package_when_it_is_run():
    """The folder of a script comes first on the import path, so a script must not carry an installed package's name."""
    from importlib.metadata import packages_distributions

    taken = {path.stem for path in EXAMPLES.glob("*.py")} & set(packages_distributions())
    assert not taken, f"rename {', '.join(sorted(taken))}: an `import` of another package would run the script"


def test_tracking_with_onnxruntime_alone_gives_the_masks_of_the_predictor(tmp_path):
    from sam2nb import SAM2VideoPredictor, load_model

    run_example("onnx_track", tmp_path / "masks.npz", tmp_path)
    theirs = np.load(tmp_path / "masks.npz")["masks"]
    # the example leaves the holes of masks open
    predictor = SAM2VideoPredictor(load_model("sam2nb_nano", device="cpu"), fill_hole_area=0, progress=False)
    session = predictor.init_state(ROOT / "data/clips/big_buck_bunny.mp4")
    predictor.add_new_points_or_box(session, frame_idx=0, obj_id=1, box=[72, 105, 285, 282])
    ours = [(result.masks[0, 0] > 0).numpy() for result in predictor.propagate_in_video(session)]
    assert len(ours) == len(theirs) == 30
    assert all((a & b).sum() >= 0.999 * (a | b).sum() for a, b in zip(ours, theirs, strict=True))
