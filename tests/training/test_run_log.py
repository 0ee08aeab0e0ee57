import csv

import numpy as np
import pytest
from PIL import Image

from sam2nb.training import run_log
from sam2nb.training.run_log import STEPS_PER_ENTRY, RunLog


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch):
    monkeypatch.setattr(run_log, "_tensorboard", lambda folder: None)  # its thread outlives the folder of a test


def rows(folder) -> list[dict[str, str]]:
    with open(folder / "log.csv") as stream:
        return list(csv.DictReader(stream))


def test_an_entry_holds_the_means_of_the_steps_before_it(tmp_path):
    log = RunLog(tmp_path)
    for step in range(1, 2 * STEPS_PER_ENTRY + 1):
        log.add("stills", step, {"loss": float(step)})
    first, second = rows(tmp_path)
    assert (first["phase"], first["step"], first["name"]) == ("stills", str(STEPS_PER_ENTRY), "loss")
    assert float(first["value"]) == (1 + STEPS_PER_ENTRY) / 2
    assert float(second["value"]) == STEPS_PER_ENTRY + (1 + STEPS_PER_ENTRY) / 2


def test_a_continued_run_appends_to_its_log(tmp_path):
    RunLog(tmp_path / "run").write("stills", 1, {"loss": 2.0})
    RunLog(tmp_path / "run").write("stills", 2, {"loss": 1.0})
    assert [row["value"] for row in rows(tmp_path / "run")] == ["2", "1"]


def test_an_image_is_kept_as_png(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (8, 9, 3), dtype=np.uint8)
    path = RunLog(tmp_path).image("stills", 7, image)
    assert path.name == "masks-stills-000007.png"
    assert np.array_equal(np.asarray(Image.open(path)), image)
