import numpy as np
import pytest

from sam2nb.evaluation.samples import LabelledImage
from sam2nb.training.data.compose import compose_still
from sam2nb.training.recipes.toy import TINY_SIDE, cells, materials_of, pocket_model


@pytest.fixture(scope="module")
def cell_materials():
    return materials_of(list(cells(1, seed=0)), [np.full((40, 60, 3), 90, np.uint8)])


def test_every_labelled_object_becomes_a_cutout(cell_materials):
    assert len(cell_materials.cutouts) == 6
    image, masks = compose_still(np.random.default_rng(0), cell_materials, 64)
    assert image.shape == (64, 64, 3)
    assert masks.any((1, 2)).all()


def test_materials_need_an_object_and_a_background():
    speck = np.zeros((1, 40, 40), bool)
    speck[0, 3, 3] = True
    sample = LabelledImage("speck", np.zeros((40, 40, 3), np.uint8), speck)
    with pytest.raises(ValueError, match="at least one labelled object and one background"):
        materials_of([sample], [sample.image])
    with pytest.raises(ValueError, match="at least one labelled object and one background"):
        materials_of(list(cells(1, seed=0)), [])


def test_cells_do_not_overlap_and_repeat_with_their_seed():
    first, again = (cells(2, seed=3) for _ in range(2))
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.image, two.image)
        assert one.masks.sum(0).max() == 1
    assert not np.array_equal(first.load("cells_0").image, first.load("cells_1").image)


def test_the_pocket_model_learns_at_ninety_six_pixels():
    model = pocket_model()
    assert model.image_size == TINY_SIDE == 96
    assert sum(weight.numel() for weight in model.parameters()) < 7e6
