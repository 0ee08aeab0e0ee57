"""Records of checkpoints: measured once, read again, and the ones that are committed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sam2nb.evaluation.datasets import open_images
from sam2nb.evaluation.records import load_records, record_checkpoint


@pytest.fixture(scope="module")
def measured():
    """A record of nano on one image, at a small input, and the lines that were reported."""
    lines = []
    images = replace(open_images(), names=open_images().names[:1])
    record = record_checkpoint("sam2nb_nano", images, device="cpu", image_size=64, repeats=1, report=lines.append)
    return record, lines


def test_a_record_has_the_score_of_every_object_and_the_time_of_every_part(measured):
    record, lines = measured
    assert set(record.iou) == {"box", "clicks_1", "clicks_2", "clicks_3", "clicks_5"} and record.objects == 2
    assert all(0 <= value <= 1 for values in record.iou.values() for value in values)
    assert set(record.seconds) == set(record.cpu_seconds) == {"encode", "click"}
    assert all(value > 0 for value in (*record.seconds.values(), *record.cpu_seconds.values()))
    assert (record.checkpoint, record.image_size, record.dtype, record.device) == ("sam2nb_nano", 64, "float32", "cpu")
    assert lines[0].startswith("2 objects in 1 images: box ") and len(lines) == 3


def test_a_saved_record_is_small_and_comes_back(measured, tmp_path):
    record, _ = measured
    path = record.save(tmp_path)
    assert path.name.startswith("sam2nb_nano_64_float32_") and path.stat().st_size < 2000
    assert load_records(tmp_path) == [record]
    assert str(tmp_path) not in path.read_text()


def test_a_file_that_is_no_record_is_named(tmp_path):
    (tmp_path / "other.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(ValueError, match="other.json is no record"):
        load_records(tmp_path)


def test_the_committed_records_score_the_same_objects():
    records = load_records()
    assert {record.checkpoint for record in records} >= {"sam2nb_nano", "sam2nb_tiny", "sam2_hiera_tiny"}
    assert len({(record.images, record.objects) for record in records}) == 1
    for record in records:
        assert {len(values) for values in record.iou.values()} == {record.objects}
        assert all(0 <= value <= 1 for values in record.iou.values() for value in values)
