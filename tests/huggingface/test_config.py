"""`Sam2Config`, and the config.json for transformers."""

import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.huggingface.config import Sam2Config, processor_image_size, save_processor_config, transformers_config
from sam2nb.weights.names import to_hugging_face


def test_a_configuration_is_found_by_name_or_read_from_a_file(tmp_path):
    assert Sam2Config.from_pretrained("facebook/sam2.1-hiera-base-plus") == Sam2Config("sam2.1_hiera_b+", 1024)
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="fits no configuration: it holds no SAM 2"):
        Sam2Config.from_pretrained(str(tmp_path / "a.pt"))
    with pytest.raises(ValueError, match="no checkpoint is called 'facebook/sam3'"):
        Sam2Config.from_pretrained("facebook/sam3")


@pytest.mark.parametrize("name", ["sam2_hiera_t", "sam2.1_hiera_s", "sam2.1_hiera_b+", "sam2.1_hiera_l", "sam2nb_tiny"])
def test_the_written_config_builds_the_same_tensors_in_transformers(name):
    transformers = pytest.importorskip("transformers")
    ours = build_sam2(name, device="meta")
    config = transformers.Sam2VideoConfig.from_dict(transformers_config(ours))
    with torch.device("meta"):
        theirs = transformers.Sam2VideoModel(config).state_dict()
    state = {key: torch.empty(value.shape) for key, value in ours.state_dict().items()}
    wanted = {key: value.shape for key, value in to_hugging_face(state).items()}
    assert {key: value.shape for key, value in theirs.items()} == wanted


def test_a_folder_may_hold_a_processor_alone(tmp_path):
    save_processor_config(tmp_path, 512, "Sam2VideoProcessor")
    assert processor_image_size(tmp_path) == 512
    assert processor_image_size("facebook/sam2.1-hiera-tiny") == 1024 and processor_image_size("sam2nb_nano") == 256


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not json"), ("[]", "must hold a json object, got a list"), ("{}", "names no target_size")],
)
def test_a_damaged_processor_file_is_named(tmp_path, content, message):
    (tmp_path / "processor_config.json").write_text(content)
    with pytest.raises(ValueError, match=f"processor_config.json {message}"):
        processor_image_size(tmp_path)
