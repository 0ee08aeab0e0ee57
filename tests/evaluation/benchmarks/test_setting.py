"""Conditions of a run: written on the command line, stored in a record."""

import json
from dataclasses import asdict

import pytest

from sam2nb.evaluation.benchmarks.setting import Setting, Workload


def test_a_workload_is_read_from_assignments():
    workload = Workload.parse(["photo_hw=1500x2250", "frames=20", "image=photo.jpg"])
    assert workload == Workload(photo_hw=(1500, 2250), frames=20, image="photo.jpg")
    assert Workload.parse([]) == Workload()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=3", "workload has 'size'; known are photo_hw"),
        ("photo_hw=1500", "photo_hw must look like 1500x2250, got '1500'"),
        ("frames", "frames must look like 300, got ''"),
    ],
)
def test_a_wrong_assignment_is_named(text, message):
    with pytest.raises(ValueError, match=message):
        Workload.parse([text])


def test_a_setting_survives_json():
    workload = Workload(photo_hw=(100, 200), points_per_side=4)
    setting = Setting("sam2nb_nano", None, "cpu", "float32", 128, False, 1, workload=workload)
    assert Setting.from_record(json.loads(json.dumps(asdict(setting)))) == setting
