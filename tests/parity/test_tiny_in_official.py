"""sam2nb_tiny, exported to one file, is a checkpoint that Meta's code loads strictly and tracks alike with."""

import pytest

from sam2nb import SAM2VideoPredictor, load_model
from sam2nb.weights.convert import export_checkpoint
from tests.reference import assert_tracked_alike, official_config

pytestmark = [pytest.mark.parity, pytest.mark.genuine]
FRAMES = 4
TINY = (  # what configs/sam2nb_tiny.yaml changes, in the official package's words
    "++model.image_size=512",
    "++model.num_maskmem=5",
    "++model.memory_attention.num_layers=2",
    "++model.memory_attention.layer.dim_feedforward=1024",
)


def test_the_official_package_tracks_alike_with_the_exported_file(official, genuine_tiny, tmp_path):
    from sam2.build_sam import build_sam2_video_predictor

    path = export_checkpoint("sam2nb_tiny", tmp_path / "tiny.pt", dtype="float32")
    config = official_config("sam2.1_hiera_t")
    theirs = build_sam2_video_predictor(config, str(path), "cpu", hydra_overrides_extra=list(TINY))
    ours = SAM2VideoPredictor(load_model("sam2nb_tiny", device="cpu"))
    assert_tracked_alike(theirs, ours, FRAMES)
