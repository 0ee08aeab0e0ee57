import numpy as np

from sam2nb.training.data.batches import clip_batch, crop_grid, generator, photo_still, sample, still_batch
from sam2nb.training.data.compose import Path2D, compose_clip, compose_still, place


def test_the_same_seed_composes_the_same_clip(materials):
    first, second = (compose_clip(np.random.default_rng(3), materials, 64, 3) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])


def test_masks_of_one_picture_do_not_overlap(materials):
    for seed in range(10):
        _, masks = compose_still(np.random.default_rng(seed), materials, 64)
        assert masks.sum(0).max() == 1


def test_a_thing_is_drawn_where_its_mask_says(materials):
    rgba = np.zeros((40, 20, 4), np.uint8)
    rgba[...] = (200, 100, 50, 255)
    path = Path2D(np.array([[0.5, 0.25]]), np.array([0.5]), np.zeros(1), np.zeros(1))
    colour, alpha = place(rgba, path, 0, 64)
    rows, columns = np.nonzero(alpha > 0.5)
    assert abs(rows.mean() - 15.5) < 1
    assert abs(columns.mean() - 31.5) < 1
    assert abs(len(rows) - 32 * 16) < 80
    assert np.allclose(colour[16, 32], (200, 100, 50), atol=1)


def test_objects_of_a_clip_keep_their_order_and_are_seen_at_first(materials):
    for seed in range(5):
        images, masks = compose_clip(np.random.default_rng(seed), materials, 64, 4)
        assert images.shape == (4, 64, 64, 3)
        assert masks.shape[0] == 4
        assert masks[0].any((1, 2)).all()


def test_some_object_leaves_the_picture_and_some_is_occluded(materials):
    gone = shrunk = False
    for seed in range(40):
        _, masks = compose_clip(np.random.default_rng(seed), materials, 64, 6)
        area = masks.sum((2, 3))
        gone |= bool((area == 0).any())
        shrunk |= bool(((area > 0) & (area < 0.6 * area[:1])).any())
    assert gone
    assert shrunk


def test_a_crop_of_the_teachers_features_is_the_crop_of_the_picture():
    array = np.arange(16, dtype=np.float32).reshape(1, 4, 4).repeat(2, 0)
    whole = sample(array, crop_grid((0, 0, 512, 512), False, 4))
    assert np.allclose(whole, array, atol=1e-4)
    right_half = sample(array, crop_grid((0, 256, 512, 256), False, 2))
    assert np.allclose(right_half[0], [[4, 5], [12, 13]])  # columns 2 and 3, means of two rows each
    mirrored = sample(array, crop_grid((0, 0, 512, 512), True, 4))
    assert np.allclose(mirrored, array[:, :, ::-1], atol=1e-4)


def test_masks_of_a_photo_move_with_its_crop(materials):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        image, masks, teacher = photo_still(rng, materials, 0, 64, with_masks=True)
        assert image.shape == (64, 64, 3)
        assert masks.shape == (1, 64, 64)
        assert teacher.embedding.shape == (1, 256, 4, 4)


def test_a_step_of_another_process_sees_other_pictures(materials):
    one = still_batch(generator(0, 5, 0), materials, photos=0, composed=1, side=64)
    two = still_batch(generator(0, 5, 1), materials, photos=0, composed=1, side=64)
    assert not np.array_equal(one.pixels, two.pixels)


def test_clip_batches_line_up(materials):
    batch = clip_batch(generator(1, 0), materials, clips=2, frames=3, side=64)
    objects = len(batch.clip)
    assert batch.pixels.shape == (3, 2, 3, 64, 64)
    assert batch.truth.shape == (3, objects, 16, 16)
    assert batch.first_masks.shape == (objects, 1, 64, 64)
    assert set(batch.clip.tolist()) == {0, 1}


def test_every_batch_asks_for_something_even_on_a_tiny_grid(materials):
    for step in range(30):
        assert len(still_batch(generator(0, step), materials, photos=0, composed=1, side=32).truth)
