"""The folders that come with the package."""

import pytest

from sam2nb import resources


@pytest.mark.parametrize("name", ["configs", "checkpoints", "data"])
def test_the_folders_of_a_source_tree_are_found(name):
    assert resources.resource_dir(name).is_dir()


def test_in_a_wheel_the_folders_are_inside_the_package(tmp_path, monkeypatch):
    (tmp_path / "sam2nb" / "configs").mkdir(parents=True)
    (tmp_path / "configs").mkdir()
    monkeypatch.setattr(resources, "PACKAGE", tmp_path / "sam2nb")
    assert resources.resource_dir("configs") == tmp_path / "sam2nb" / "configs"
    with pytest.raises(FileNotFoundError, match="the folder 'checkpoints' is missing .*: reinstall sam2nb"):
        resources.resource_dir("checkpoints")
