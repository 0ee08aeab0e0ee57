import pytest
import torch

from sam2nb.build import build_sam2
from sam2nb.structures import Prompts, Recollection
from tests.reference import scramble


@pytest.fixture(scope="module")
def model():
    model = build_sam2("sam2.1_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=128"])
    scramble(model)
    return model


@pytest.fixture(scope="module")
def features(model):
    with torch.no_grad():
        return model.encode_image(torch.randn(1, 3, 128, 128))


@torch.no_grad()
def test_without_memories_an_image_gets_the_no_memory_embedding(model, features):
    difference = model.recall(features) - features.embedding
    assert torch.allclose(difference, model.no_mem_embed.view(1, 256, 1, 1).expand_as(difference), atol=1e-5)


@torch.no_grad()
def test_one_image_serves_many_prompts_as_if_copied(model, features):
    conditioned = model.recall(features)
    points, labels = torch.rand(5, 2, 2) * 128, torch.ones(5, 2, dtype=torch.int32)
    shared = model.predict_masks(conditioned, features.high_res, Prompts(points, labels), multimask=True)
    copied = model.predict_masks(
        conditioned.repeat(5, 1, 1, 1),
        tuple(level.repeat(5, 1, 1, 1) for level in features.high_res),
        Prompts(points, labels),
        multimask=True,
    )
    assert torch.allclose(shared.logits, copied.logits, atol=1e-4)


@torch.no_grad()
def test_several_objects_recall_as_if_alone(model, features):
    memories = torch.randn(3, 64, 8, 8)
    pointers = torch.randn(3, 256)
    together = model.recall(features, Recollection(((memories, 6), (memories * 2, 0)), ((pointers, 3),), 15))
    assert together.shape == (3, 256, 8, 8)
    for i in range(3):
        one = slice(i, i + 1)
        spatial = ((memories[one], 6), (memories[one] * 2, 0))
        alone = model.recall(features, Recollection(spatial, ((pointers[one], 3),), 15))
        assert torch.allclose(together[one], alone, atol=1e-4)


@torch.no_grad()
def test_time_matters_to_memories_and_pointers(model, features):
    memory, pointer = torch.randn(1, 64, 8, 8), torch.randn(1, 256)
    base = model.recall(features, Recollection(((memory, 0),), ((pointer, 1),), 15))
    older = model.recall(features, Recollection(((memory, 3),), ((pointer, 1),), 15))
    farther = model.recall(features, Recollection(((memory, 0),), ((pointer, 9),), 15))
    behind = model.recall(features, Recollection(((memory, 0),), ((pointer, -1),), 15))
    for other in (older, farther, behind):
        assert not torch.allclose(base, other, atol=1e-5)


@torch.no_grad()
def test_in_sam_2_0_pointers_carry_no_time():
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=["++model.image_size=128"])
    scramble(model)
    features = model.encode_image(torch.randn(1, 3, 128, 128))
    memory, pointer = torch.randn(1, 64, 8, 8), torch.randn(1, 256)
    conditioned = [model.recall(features, Recollection(((memory, 0),), ((pointer, d),), 15)) for d in (1, 9)]
    assert torch.equal(*conditioned)


@torch.no_grad()
def test_an_absent_object_gets_the_learned_no_object_pointer(model):
    token = torch.randn(2, 256)
    pointer = model.object_pointer(token, torch.tensor([[5.0], [-5.0]]))
    assert torch.equal(pointer[1:], model.no_obj_ptr)
    assert not torch.equal(pointer[:1], model.no_obj_ptr)


@torch.no_grad()
def test_an_empty_mask_prompt_means_an_absent_object(model, features):
    prediction, pointer = model.predict_from_mask(features, torch.zeros(1, 1, 128, 128))
    assert torch.equal(pointer, model.no_obj_ptr)
    assert prediction.object_score.item() == -10
    assert torch.allclose(prediction.logits, torch.full_like(prediction.logits, -10.0))
