"""nano, saved with our own code, is a checkpoint that Meta's code loads strictly and predicts the same masks with."""

import numpy as np
import pytest
import torch

from sam2nb import SAM2ImagePredictor, SAM2VideoPredictor, load_model, save_checkpoint
from sam2nb.notebook import photo
from tests.reference import LOGIT_TOLERANCE, SCORE_TOLERANCE, assert_tracked_alike, largest_gap, official_config

pytestmark = pytest.mark.parity
CLICK, FRAMES = [[220.0, 120.0]], 8
NANO = (  # what configs/trunk/nano.yaml says, in the official package's words
    "++model.image_size=256",
    "++model.num_maskmem=5",
    "++model.image_encoder.scalp=0",
    "++model.image_encoder.trunk.embed_dim=96",
    "++model.image_encoder.trunk.num_heads=1",
    "++model.image_encoder.trunk.stages=[1,2,2]",
    "++model.image_encoder.trunk.q_pool=2",
    "++model.image_encoder.trunk.window_spec=[8,4,14]",
    "++model.image_encoder.trunk.global_att_blocks=[4]",
    "++model.image_encoder.trunk.window_pos_embed_bkg_spatial_size=[7,7]",
    "++model.image_encoder.neck.backbone_channel_list=[384,192,96]",
    "++model.image_encoder.neck.fpn_top_down_levels=[]",
    "++model.memory_attention.num_layers=1",
    "++model.memory_attention.layer.dim_feedforward=512",
    "++model.memory_encoder.fuser.num_layers=1",
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("nano") / "nano.pt"
    save_checkpoint(load_model("sam2nb_nano", device="cpu"), path)
    return str(path)


def test_the_official_package_loads_nano_and_gives_the_same_masks(official, saved):
    from sam2.build_sam import build_sam2
    from sam2.sam2_image_predictor import SAM2ImagePredictor as Official

    theirs = build_sam2(official_config("sam2.1_hiera_t"), saved, "cpu", hydra_overrides_extra=list(NANO))
    loaded = torch.load(saved, weights_only=True)["model"]
    assert loaded.keys() == theirs.state_dict().keys()
    theirs, ours = Official(theirs), SAM2ImagePredictor(load_model("sam2nb_nano", device="cpu"), closer=False)
    theirs._bb_feat_sizes = [(64, 64), (32, 32), (16, 16)]  # fixed there for an input of 1024
    predictions = []
    for predictor in (theirs, ours):
        predictor.set_image(photo("cat"))
        predictions.append(predictor.predict(np.array(CLICK), np.array([1]), return_logits=True))
    expected, got = ([torch.as_tensor(np.asarray(part)) for part in prediction] for prediction in predictions)
    assert largest_gap(got[0], expected[0]) < LOGIT_TOLERANCE
    assert largest_gap(got[1], expected[1]) < SCORE_TOLERANCE


def test_the_official_package_tracks_alike_with_nano(official, saved):
    from sam2.build_sam import build_sam2_video_predictor

    theirs = build_sam2_video_predictor(
        official_config("sam2.1_hiera_t"), saved, "cpu", hydra_overrides_extra=list(NANO)
    )
    ours = SAM2VideoPredictor(load_model("sam2nb_nano", device="cpu"))
    assert_tracked_alike(theirs, ours, FRAMES)
