import pytest

from sam2nb import SAM2VideoPredictor
from tests.predict.video.clips import COUNT, frame, small_model


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture
def predictor(model):
    return SAM2VideoPredictor(model, progress=False)


@pytest.fixture
def session(predictor):
    return predictor.init_state([frame(i) for i in range(COUNT)])
