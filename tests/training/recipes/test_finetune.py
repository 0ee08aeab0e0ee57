import numpy as np
import pytest
import torch
from PIL import Image

from sam2nb.evaluation.datasets import open_clips, open_images
from sam2nb.evaluation.samples import SampleError
from sam2nb.training.data.compose import compose_clip
from sam2nb.training.phase import Phase
from sam2nb.training.recipes.finetune import ClipSampler, finetune, random_window, resize_masks


def write(path, array, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8), mode=mode).save(path)


def labels(masks):
    return (masks * np.arange(1, len(masks) + 1)[:, None, None]).sum(0)


@pytest.fixture
def images(tmp_path, materials):
    for index in range(3):
        composed, masks = compose_clip(np.random.default_rng(index), materials, 96, 1, 2)
        write(tmp_path / "set" / "images" / f"{index}.png", composed[0])
        write(tmp_path / "set" / "masks" / f"{index}.png", labels(masks[0]))
    return tmp_path / "set"


@pytest.fixture
def clips(tmp_path, materials):
    images, masks = compose_clip(np.random.default_rng(1), materials, 96, 5, 2)
    for t in range(5):
        write(tmp_path / "clips" / "one" / "frames" / f"{t:05d}.png", images[t])
        write(tmp_path / "clips" / "one" / "masks" / f"{t:05d}.png", labels(masks[t]))
    return tmp_path / "clips"


def changed(before: dict, model) -> set[str]:
    return {name.split(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)}


def snapshot(model) -> dict:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_by_default_only_the_decoder_changes(tmp_path, images, small_model):
    model = small_model("eval")
    before = snapshot(model)
    tuned = finetune(model, open_images(images), tmp_path / "run", steps=3)
    assert changed(before, tuned) <= {"sam_mask_decoder", "sam_prompt_encoder"}
    assert "sam_mask_decoder" in changed(before, tuned)
    assert not tuned.training


def test_with_all_parts_the_image_encoder_changes_too(tmp_path, images, small_model):
    model = small_model("eval")
    before = snapshot(model)
    assert "image_encoder" in changed(before, finetune(model, open_images(images), tmp_path, parts="all", steps=2))


def test_memory_learns_from_clips_and_the_image_encoder_is_frozen(tmp_path, clips, small_model):
    model = small_model("eval")
    before = snapshot(model)
    moved = changed(before, finetune(model, open_clips(clips), tmp_path / "run", parts="memory", steps=2))
    assert {"memory_attention", "memory_encoder", "sam_mask_decoder"} <= moved
    assert "image_encoder" not in moved


def test_memory_does_not_learn_from_single_images(tmp_path, images, small_model):
    with pytest.raises(ValueError, match="learns from clips"):
        finetune(small_model("eval"), open_images(images), tmp_path / "run", parts="memory")


def test_unknown_parts_are_refused_by_name(tmp_path, images, small_model):
    with pytest.raises(ValueError, match="'head'; expected one of decoder, memory, all"):
        finetune(small_model("eval"), open_images(images), tmp_path / "run", parts="head")


def test_image_only_weights_do_not_learn_from_clips(tmp_path, clips, small_model):
    model = small_model("eval")
    model.missing_parts = ("memory_attention",)
    with pytest.raises(ValueError, match="weights for memory attention are missing"):
        finetune(model, open_clips(clips), tmp_path / "run")


def test_a_mask_of_another_size_than_its_image_is_named(tmp_path, images, small_model):
    write(images / "masks" / "1.png", np.ones((50, 96)))
    with pytest.raises(SampleError, match=r"1\.png"):
        finetune(small_model("eval"), open_images(images), tmp_path / "run", steps=1)


def test_objects_too_small_for_the_model_are_refused(tmp_path, small_model):
    write(tmp_path / "set" / "images" / "a.png", np.zeros((640, 640, 3)))
    speck = np.zeros((640, 640))
    speck[0, 0] = 1
    write(tmp_path / "set" / "masks" / "a.png", speck)
    with pytest.raises(ValueError, match="no image with an object"):
        finetune(small_model("eval"), open_images(tmp_path / "set"), tmp_path / "run", steps=1)


def test_every_object_of_a_clip_batch_is_visible_on_its_first_frame(clips, small_model):
    phase = Phase("clips", steps=1, rates={"": 1e-3})
    make_batch = ClipSampler(small_model("eval"), open_clips(clips))
    for seed in range(5):
        batch = make_batch(np.random.default_rng(seed), phase, 0)
        assert batch.pixels.shape[0] >= 2
        assert batch.first_masks.flatten(1).any(1).all()


def test_masks_are_resized_by_majority():
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :, :2] = True
    assert resize_masks(mask, 2).tolist() == [[[True, False], [True, False]]]


def test_a_window_has_up_to_four_equally_spaced_frames_in_either_direction():
    windows = [list(random_window(np.random.default_rng(seed), list(range(0, 40, 2)))) for seed in range(40)]
    assert all(len(window) == 4 and len(set(np.diff(window))) == 1 for window in windows)
    assert {int(np.diff(window)[0]) for window in windows} == {-6, -4, -2, 2, 4, 6}
    assert list(random_window(np.random.default_rng(0), [3, 7])) in ([3, 7], [7, 3])


def test_the_folder_of_another_run_is_refused_and_the_same_run_is_not_repeated(tmp_path, images, small_model):
    def tune(**settings):
        return finetune(small_model("eval"), open_images(images), tmp_path / "run", **{"steps": 2, **settings})

    first = snapshot(tune())
    assert changed(first, tune()) == set()
    for name, value in (("steps", 3), ("rate", 1e-3), ("parts", "all")):
        with pytest.raises(ValueError, match=f"the run in .* had {name} .*, this one has {value}: give another folder"):
            tune(**{name: value})
    mask = next((images / "masks").iterdir())
    write(mask, np.asarray(Image.open(mask))[::-1])
    with pytest.raises(ValueError, match="had data"):
        tune()


def test_a_run_on_other_clips_is_refused(tmp_path, clips, small_model):
    finetune(small_model("eval"), open_clips(clips), tmp_path / "run", steps=1)
    mask = clips / "one" / "masks" / "00002.png"
    write(mask, np.asarray(Image.open(mask))[::-1])
    with pytest.raises(ValueError, match="had data"):
        finetune(small_model("eval"), open_clips(clips), tmp_path / "run", steps=1)
