"""A small trained model for all tests of this folder, and how long hypothesis searches.

SAM2NB_EXAMPLES multiplies the number of examples; SAM2NB_FUZZ_FILES is the number of damaged files, SAM2NB_SOAK_FRAMES
that of the frames of the soak.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from sam2nb import SAM2ImagePredictor, SAM2VideoPredictor, load_model
from tests.hardening.cases import SIDE

settings.register_profile(
    "hardening",
    deadline=None,
    derandomize="SAM2NB_EXAMPLES" not in os.environ,  # the same examples every time, unless more are asked for
    max_examples=25 * int(os.environ.get("SAM2NB_EXAMPLES", "1")),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("hardening")


@pytest.fixture(scope="session")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=SIDE)


@pytest.fixture(scope="session")
def image_predictor(nano):
    return SAM2ImagePredictor(nano)


@pytest.fixture(scope="session")
def video_predictor(nano):
    return SAM2VideoPredictor(nano, progress=False)
