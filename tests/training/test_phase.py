import pytest

from sam2nb.training.phase import Phase
from sam2nb.training.recipes.nano import read_recipe


def test_every_phase_of_the_recipe_is_read():
    features, together, polish = (Phase(**settings) for settings in read_recipe("nano")["phases"])
    assert (features.has_clips, together.has_clips, polish.has_clips) == (False, True, True)
    assert together.frozen_encoder and together.warm_start == 20
    assert polish.rounds == 4 and list(polish.sides) == [256, 256, 320]


def test_an_unknown_setting_of_a_phase_is_refused():
    with pytest.raises(TypeError, match="stepz"):
        Phase(name="stills", stepz=3, rates={})
