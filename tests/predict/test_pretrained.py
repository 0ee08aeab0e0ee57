import pytest

from sam2nb.predict import pretrained
from sam2nb.predict.everything.generator import SAM2AutomaticMaskGenerator
from sam2nb.predict.image import SAM2ImagePredictor
from sam2nb.predict.pretrained import load_pretrained
from sam2nb.predict.video.predictor import SAM2VideoPredictor


def test_options_of_the_model_and_of_the_predictor_are_split(monkeypatch):
    asked = {}
    monkeypatch.setattr(pretrained, "load_model", lambda name, **options: asked.update(options, name=name) or "model")
    options = {"device": "cpu", "image_size": 512, "max_hole_area": 3}
    assert load_pretrained("facebook/sam2.1-hiera-tiny", options) == ("model", {"max_hole_area": 3})
    assert asked == {"name": "facebook/sam2.1-hiera-tiny", "device": "cpu", "image_size": 512}


def test_the_official_option_of_the_video_predictor_compiles_the_model(monkeypatch):
    asked = {}
    monkeypatch.setattr(pretrained, "load_model", lambda name, **options: asked.update(options) or "model")
    assert load_pretrained("sam2nb_nano", {"vos_optimized": True, "fast": False}) == ("model", {})
    assert asked == {"compile": True, "fast": False}


@pytest.mark.parametrize("predictor", [SAM2ImagePredictor, SAM2AutomaticMaskGenerator, SAM2VideoPredictor])
def test_an_unknown_checkpoint_is_refused_by_every_predictor(predictor):
    with pytest.raises(ValueError, match="no_such_model"):
        predictor.from_pretrained("no_such_model")
