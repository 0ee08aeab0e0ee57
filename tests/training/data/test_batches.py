import numpy as np

from sam2nb.training.data.batches import Crop, clip_batch, generator, photo_still, random_crop, shrink, still_batch


def test_a_crop_of_the_teachers_features_is_the_crop_of_the_photograph():
    array = np.arange(16, dtype=np.float32).reshape(1, 4, 4).repeat(2, 0)
    whole = Crop(0, 0, 512, 512, mirrored=False)
    assert np.allclose(whole.of_map(array, 4), array, atol=1e-4)
    right_half = Crop(0, 256, 512, 256, mirrored=False)
    assert np.allclose(right_half.of_map(array, 2)[0], [[4, 5], [12, 13]])  # columns 2 and 3, means of two rows each
    mirrored = Crop(0, 0, 512, 512, mirrored=True)
    assert np.allclose(mirrored.of_map(array, 4), array[:, :, ::-1], atol=1e-4)


def test_image_and_map_of_a_crop_show_the_same_part():
    ramp = np.broadcast_to(np.linspace(0, 255, 512).astype(np.uint8)[None, :, None], (512, 512, 3))
    crop = Crop(64, 128, 256, 320, mirrored=True)
    image = crop.of_image(ramp, 64)[..., 0].astype(float)
    assert np.allclose(image, crop.of_map(ramp.transpose(2, 0, 1), 64)[0], atol=3)


def test_random_crops_stay_inside_and_show_at_least_a_quarter():
    crops = [random_crop(np.random.default_rng(seed), 64) for seed in range(50)]
    assert all(crop.top >= 0 and crop.top + crop.height <= 512 for crop in crops)
    assert all(crop.left >= 0 and crop.left + crop.width <= 512 for crop in crops)
    assert {crop.mirrored for crop in crops} == {True, False}
    assert all(crop.height * crop.width > 0.25 * 512**2 for crop in crops)


def test_masks_and_features_of_a_photograph_are_cropped_with_it(materials):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        image, masks, teacher = photo_still(rng, materials, 0, 64, with_masks=True)
        assert image.shape == (64, 64, 3)
        assert masks.shape == (1, 64, 64)
        assert teacher.embedding.shape == (1, 256, 4, 4)


def test_another_process_sees_other_images_in_the_same_step(materials):
    one = still_batch(generator(0, 5, 0), materials, photos=0, composed=1, side=64)
    two = still_batch(generator(0, 5, 1), materials, photos=0, composed=1, side=64)
    assert not np.array_equal(one.pixels, two.pixels)


def test_the_parts_of_a_clip_batch_have_matching_shapes(materials):
    batch = clip_batch(generator(1, 0), materials, clips=2, frames=3, side=64)
    objects = len(batch.clip_index)
    assert batch.pixels.shape == (3, 2, 3, 64, 64)
    assert batch.truth.shape == (3, objects, 16, 16)
    assert batch.first_masks.shape == (objects, 1, 64, 64)
    assert set(batch.clip_index.tolist()) == {0, 1}


def test_every_batch_has_an_object_even_on_a_tiny_grid(materials):
    for step in range(30):
        assert len(still_batch(generator(0, step), materials, photos=0, composed=1, side=32).truth)


def test_a_batch_without_objects_still_has_the_teachers_features(materials):
    batch = still_batch(generator(0, 0), materials, photos=3, composed=0, side=64, objects=0)
    assert batch.truth.shape == (0, 16, 16)
    assert batch.teacher.embedding.shape == (3, 256, 4, 4)
    assert batch.teacher.high_res[0].shape == (3, 32, 16, 16)


def test_photographs_come_first_and_every_object_names_its_image(materials):
    batch = still_batch(generator(0, 1), materials, photos=2, composed=2, side=64, objects=1)
    assert len(batch.pixels) == 4
    assert batch.image_index.tolist() == [0, 1, 2, 3]
    assert len(batch.teacher.embedding) == 2


def test_shrunk_masks_hold_the_covered_fraction_of_every_cell():
    mask = np.zeros((1, 8, 8), bool)
    mask[0, :4, :2] = True
    assert shrink(mask).tolist() == [[[0.5, 0], [0, 0]]]
