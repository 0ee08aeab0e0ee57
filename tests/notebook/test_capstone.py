"""The rubric of the capstone."""

from __future__ import annotations

import numpy as np
import pytest

from sam2nb import notebook
from sam2nb.evaluation.samples import LabelledImage, LabelledImages


def images(seeds: range, masks: int = 1) -> LabelledImages:
    mask = np.zeros((masks, 16, 16), bool)
    mask[:, 4:9, 4:9] = True
    samples = {}
    for seed in seeds:
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        samples[f"picture {seed}"] = LabelledImage(f"picture {seed}", pixels, mask)
    return LabelledImages("test", tuple(samples), samples.__getitem__)


@pytest.fixture
def project(tmp_path) -> dict:
    files = [tmp_path / "tuned.safetensors", tmp_path / "masks.json"]
    files[0].write_text("content")
    files[1].write_text('{"annotations": [{"id": 1}]}')
    parts = {"training": images(range(8)), "held_out": images(range(8, 12))}
    return parts | {"before": [0.5, 0.6, 0.4, 0.5], "after": [0.8, 0.9, 0.7, 0.8], "files": files}


def test_a_whole_project_passes(project, printed):
    notebook.check("capstone", project)
    assert printed() == "capstone: correct"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"training": images(range(7))}, "1 · labels: 11 pictures are labelled, 12 are needed"),
        ({"training": images(range(8), masks=0)}, "1 · labels: picture 0 has an empty mask or none"),
        ({"training": images(range(10)), "held_out": images(range(10, 12))}, "2 · split: hold at least 3"),
        ({"training": images(range(1, 9))}, "2 · split: picture 8 is in the training set and"),
        ({"after": [0.5, 0.6, 0.4, 0.5]}, "3 · measure: the mean IoU changed by +0.00"),
        ({"before": [0.5]}, "3 · measure: 4 objects are held out; you measured 1 before"),
        ({"after": [0.8, 0.9, 0.7, float("nan")]}, "3 · measure: an IoU lies between 0 and 1; `after` has others"),
        ({"after": [80, 90, 70, 80]}, "3 · measure: an IoU lies between 0 and 1; `after` has others"),
        ({"files": ["gone.json"]}, "4 · export: gone.json is missing"),
    ],
)
def test_each_point_of_the_rubric_is_judged(project, change, reason, printed):
    notebook.check("capstone", project | change)
    assert reason in printed()


def test_both_kinds_of_files_are_asked_for(project, printed):
    for keep, reason in ((0, "COCO .json"), (1, ".safetensors")):
        notebook.check("capstone", project | {"files": [project["files"][keep]]})
        assert reason in printed()
    notebook.check("capstone", [1])
    assert "give a dict with training" in printed()


@pytest.mark.parametrize("content", ["hello", "{}", "[1]"])
def test_a_json_file_without_annotations_is_no_export(project, content, printed):
    project["files"][1].write_text(content)
    notebook.check("capstone", project)
    assert "masks.json is no COCO file with annotations" in printed()
