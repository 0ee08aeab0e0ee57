"""`Sam2Model`: equal to transformers box by box, given the same weights; and the calls its documentation shows."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2nb.build import build_sam2
from sam2nb.huggingface import Sam2Config, Sam2Model, Sam2Processor, Sam2VideoModel
from sam2nb.model.layers import to_tokens
from sam2nb.weights.checkpoint import load_checkpoint
from tests.huggingface.pairs import FEATURES, LOGITS, SCORES, close, make_pair
from tests.reference import scramble

SIDE = 256


@pytest.fixture(scope="module", params=["sam2.1_hiera_t", "sam2_hiera_b+"])
def pair(request, tmp_path_factory):
    """Our adapter and both transformers classes with the same random weights, by way of a saved folder."""
    return make_pair(request.param, SIDE, tmp_path_factory.mktemp("hub"))


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, SIDE, SIDE)


@pytest.fixture
def embeddings() -> list[Tensor]:
    """Random maps of two images, in the shapes that the decoder takes."""
    return [torch.randn(2, c, SIDE // s, SIDE // s) for c, s in ((32, 4), (64, 8), (256, 16))]


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)


def prompts(**chosen: bool) -> dict[str, Tensor]:
    """Prompts for two images with three objects each; those not chosen are left out."""
    everything = {
        "input_points": torch.rand(2, 3, 4, 2) * SIDE,
        "input_labels": torch.tensor([1, 0, 1, 1]).expand(2, 3, 4),
        "input_boxes": torch.tensor([20.0, 30.0, 120.0, 200.0]).expand(2, 3, 4) + torch.rand(2, 3, 1) * 9,
        "input_masks": torch.randn(2, 1, SIDE // 4, SIDE // 4) * 5,
    }
    return {name: value for name, value in everything.items() if chosen.get(name.removeprefix("input_"))}


# Equal to transformers


@torch.no_grad()
def test_image_encoders_agree(pair, pixels):
    for ours, theirs in zip(
        pair.ours.get_image_embeddings(pixels), pair.still.get_image_embeddings(pixels), strict=True
    ):
        close(ours, theirs, FEATURES)


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize(
    "given",
    [
        {"points": True, "labels": True},
        {"points": True},
        {"boxes": True},
        {"points": True, "labels": True, "boxes": True},
        {"points": True, "labels": True, "masks": True},
        {"masks": True},
        {},
    ],
    ids=lambda given: "+".join(given) or "no prompt",
)
def test_masks_and_scores_agree(pair, embeddings, given, multimask):
    inputs = prompts(**given) | {"multimask_output": multimask}
    ours = pair.ours(image_embeddings=embeddings, **inputs)
    theirs = pair.still(image_embeddings=[level.clone() for level in embeddings], **inputs)
    close(ours.pred_masks, theirs.pred_masks, LOGITS)
    close(ours.iou_scores, theirs.iou_scores, SCORES)
    close(ours.object_score_logits, theirs.object_score_logits, LOGITS)


@torch.no_grad()
def test_memory_attention_agrees(pair):
    attention, h = pair.ours.sam2.memory_attention, SIDE // 16
    tokens, position = torch.randn(1, h * h, 256), torch.randn(1, h * h, 256)
    memory, memory_position = torch.randn(1, 2 * h * h + 8, 64), torch.randn(1, 2 * h * h + 8, 64)
    ours = attention(tokens, position, memory, memory_position, (h, h), 8)
    flipped = [value.transpose(0, 1) for value in (tokens, memory, position, memory_position)]
    close(ours, pair.video.memory_attention(*flipped, num_object_pointer_tokens=8).view(1, h * h, 256), FEATURES)


@torch.no_grad()
def test_memory_encoder_agrees(pair):
    embedding, mask = torch.randn(1, 256, SIDE // 16, SIDE // 16), torch.randn(1, 1, SIDE, SIDE) * 10
    ours = pair.ours.sam2.memory_encoder(embedding, mask)
    theirs, position = pair.video.memory_encoder(embedding, mask)
    close(ours, theirs, FEATURES)
    assert to_tokens(position).shape == to_tokens(ours).shape


@torch.no_grad()
def test_object_pointers_agree(pair):
    tokens = torch.randn(3, 256)
    close(pair.ours.sam2.obj_ptr_proj(tokens), pair.video.object_pointer_proj(tokens), FEATURES)


def test_every_learned_table_arrives_under_its_name(pair):
    ours, theirs = pair.ours.sam2, pair.video
    assert torch.equal(ours.maskmem_tpos_enc, theirs.memory_temporal_positional_encoding)
    assert torch.equal(ours.no_mem_embed, theirs.no_memory_embedding)
    assert torch.equal(ours.no_obj_ptr, theirs.no_object_pointer)
    assert (ours.no_obj_embed_spatial is None) == (theirs.occlusion_spatial_embedding_parameter is None)
    if ours.no_obj_embed_spatial is not None:
        assert torch.equal(ours.no_obj_embed_spatial, theirs.occlusion_spatial_embedding_parameter)
        assert torch.equal(ours.obj_ptr_tpos_proj.weight, theirs.temporal_positional_encoding_projection_layer.weight)


# Folders


def test_a_hugging_face_folder_loads_into_our_model(pair):
    model = build_sam2(pair.ours.config.config, device="cpu")
    load_checkpoint(model, pair.folder)
    reference = pair.ours.sam2.state_dict()
    assert all(torch.equal(value, reference[name]) for name, value in model.state_dict().items())


def test_from_pretrained_loads_a_saved_folder(pair):
    model = Sam2Model.from_pretrained(str(pair.folder))
    assert model.config == pair.ours.config
    assert Sam2Processor.from_pretrained(str(pair.folder)).image_size == SIDE


@torch.no_grad()
def test_folders_of_transformers_load_into_our_models(pair, pixels, tmp_path):
    pair.still.save_pretrained(tmp_path / "still")
    pair.video.save_pretrained(tmp_path / "video")
    reference = pair.ours.sam2.state_dict()
    video = Sam2VideoModel.from_pretrained(tmp_path / "video")
    assert video.config == pair.ours.config and not video.sam2.missing_parts
    assert all(torch.equal(value, reference[name]) for name, value in video.sam2.state_dict().items())
    still = Sam2Model.from_pretrained(tmp_path / "still")
    boxes = prompts(boxes=True)
    close(still(pixels, **boxes).pred_masks, pair.ours(pixels, **boxes).pred_masks, LOGITS)
    close(still(pixels, **boxes).object_score_logits, pair.ours(pixels, **boxes).object_score_logits, LOGITS)


def test_a_folder_in_half_precision_loads(pair, tmp_path):
    copy.deepcopy(pair.video).to(torch.bfloat16).save_pretrained(tmp_path)
    model = Sam2VideoModel.from_pretrained(tmp_path)
    reference = pair.ours.sam2.state_dict()
    for name, value in model.sam2.state_dict().items():
        assert value.dtype is torch.float32
        torch.testing.assert_close(value, reference[name], atol=1e-2, rtol=1e-2)


def test_our_own_tiny_travels_through_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = Sam2VideoModel(Sam2Config("sam2nb_tiny", SIDE))
    scramble(ours.sam2)
    ours.save_pretrained(tmp_path / "ours")
    theirs, about = transformers.Sam2VideoModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not about["missing_keys"] and not about["mismatched_keys"] and not about["unexpected_keys"]
    assert theirs.num_maskmem == 5 and len(theirs.memory_attention.layers) == 2
    theirs.save_pretrained(tmp_path / "theirs")
    back = Sam2VideoModel.from_pretrained(tmp_path / "theirs")
    assert back.config == Sam2Config("sam2nb_tiny", SIDE)
    reference = ours.sam2.state_dict()
    assert all(torch.equal(value, reference[name]) for name, value in back.sam2.state_dict().items())


def test_a_model_that_transformers_does_not_have_is_not_written(tmp_path):
    with pytest.raises(
        ValueError, match="transformers has no model like this one: SAM 2.1 with the trunk of sam2nb_nano"
    ):
        Sam2Model(Sam2Config("sam2nb_nano")).save_pretrained(tmp_path / "nano")
    assert not (tmp_path / "nano").exists()


def test_the_config_names_the_video_model(pair):
    notes = json.loads((pair.folder / "config.json").read_text())
    assert notes["architectures"] == ["Sam2VideoModel"] and notes["image_size"] == SIDE


# Calls


@torch.no_grad()
def test_the_documented_example_runs(pair, image):
    processor, model = Sam2Processor(SIDE), pair.ours
    inputs = processor(images=image, input_points=[[[[100, 60]]]], input_labels=[[[1]]], return_tensors="pt")
    outputs = model(**inputs.to(model.device))
    masks = processor.post_process_masks(outputs.pred_masks.cpu(), inputs["original_sizes"])[0]
    assert masks.shape == (1, 3, 120, 200) and masks.dtype == torch.bool
    assert outputs.iou_scores.shape == (1, 1, 3) and outputs.object_score_logits.shape == (1, 1, 1)
    again = model(**inputs, multimask_output=False, input_masks=outputs.pred_masks[:, :, 0])
    assert again.pred_masks.shape == (1, 1, 1, SIDE // 4, SIDE // 4)


@torch.no_grad()
def test_the_documented_refinement_with_an_earlier_mask_runs(pair, image):
    processor, model = Sam2Processor(SIDE), pair.ours
    inputs = processor(images=image, input_points=[[[[100, 60]]]], input_labels=[[[1]]], return_tensors="pt")
    outputs = model(**inputs)
    mask_input = outputs.pred_masks[:, :, torch.argmax(outputs.iou_scores.squeeze())]
    inputs = processor(
        input_points=[[[[100, 60], [90, 40]]]],
        input_labels=[[[1, 1]]],
        original_sizes=inputs["original_sizes"],
        return_tensors="pt",
    ).to(model.device)
    given = {"input_masks": mask_input, "image_embeddings": outputs.image_embeddings, "multimask_output": False}
    refined = model(**inputs, **given)
    theirs = pair.still(**inputs, **given)
    close(refined.pred_masks, theirs.pred_masks, LOGITS)
    assert refined.iou_scores.shape == (1, 1, 1)


@torch.no_grad()
def test_the_documented_batches_run_with_labels(pair, image):
    processor = Sam2Processor(SIDE)
    inputs = processor(
        images=[image, image[:100]],
        segmentation_maps=[np.zeros((120, 200), int), np.ones((100, 200), int)],
        input_boxes=[[[10, 20, 110, 90], [0, 0, 50, 50]], [[5, 5, 60, 60], [9, 9, 99, 90]]],
        return_tensors="pt",
    )
    outputs = pair.ours(**inputs, multimask_output=False)
    close(outputs.pred_masks, pair.still(**inputs, multimask_output=False).pred_masks, LOGITS)
    masks = processor.post_process_masks(outputs.pred_masks.cpu(), inputs["original_sizes"])
    assert [tuple(mask.shape) for mask in masks] == [(2, 1, 120, 200), (2, 1, 100, 200)]


@torch.no_grad()
def test_an_object_does_not_depend_on_how_many_points_its_neighbour_has(pair, embeddings):
    model, processor = pair.ours, Sam2Processor(SIDE)
    embeddings = [level[:1] for level in embeddings]
    one = processor(original_sizes=[[SIDE, SIDE]], input_points=[[[[60, 60]]]])
    both = processor(original_sizes=[[SIDE, SIDE]], input_points=[[[[60, 60]], [[20, 90], [200, 10], [9, 9]]]])
    alone = model(image_embeddings=embeddings, **one).pred_masks[0, 0]
    close(model(image_embeddings=embeddings, **both).pred_masks[0, 0], alone, 1e-4)


@torch.no_grad()
def test_a_row_that_is_all_padding_is_an_empty_mask(pair, embeddings):
    points = torch.full((2, 2, 1, 2), -10.0)
    points[:, 0], points[0, 1] = 60.0, 90.0
    labels = torch.where((points != -10).all(-1), 1, -10)
    out = pair.ours(image_embeddings=embeddings, input_points=points, input_labels=labels)
    assert (out.pred_masks[1, 1] < 0).all() and (out.iou_scores[1, 1] == 0).all() and out.object_score_logits[1, 1] < 0
    assert (out.iou_scores[0] != 0).all()


@torch.no_grad()
def test_each_object_can_have_its_own_mask_prompt_and_of_any_size(pair, embeddings):
    inputs = {"image_embeddings": [level[:1] for level in embeddings], "input_points": torch.full((1, 2, 1, 2), 60.0)}
    masks = torch.randn(1, 2, SIDE // 4, SIDE // 4) * 5
    own = pair.ours(**inputs, input_masks=masks).pred_masks
    second = pair.ours(**inputs, input_masks=masks[:, 1:]).pred_masks
    close(own[0, 1], second[0, 1], LOGITS)
    assert not torch.allclose(own[0, 0], second[0, 0], atol=LOGITS)
    large = torch.nn.functional.interpolate(masks, scale_factor=2)
    assert pair.ours(**inputs, input_masks=large).pred_masks.shape == own.shape


def test_gradients_reach_the_decoder(pair, pixels):
    out = pair.ours(pixels[:1], torch.full((1, 1, 1, 2), 60.0))
    out.pred_masks.mean().backward()
    assert pair.ours.sam2.sam_mask_decoder.mask_tokens.weight.grad.abs().sum() > 0
    pair.ours.zero_grad()


def test_wrong_calls_are_refused(pair, embeddings):
    with pytest.raises(ValueError, match="exactly one of pixel_values and image_embeddings"):
        pair.ours()
    with pytest.raises(ValueError, match="input_points is for 1 objects, input_boxes for 2"):
        pair.ours(image_embeddings=embeddings, input_points=torch.zeros(2, 1, 1, 2), input_boxes=torch.zeros(2, 2, 4))


@pytest.mark.genuine
@torch.no_grad()
def test_the_genuine_tiny_weights_give_the_mask_of_our_predictor(genuine_tiny, photo):
    from sam2nb.predict.image import SAM2ImagePredictor

    box = [100, 20, 400, 290]
    model = Sam2Model.from_pretrained("facebook/sam2-hiera-tiny")
    processor = Sam2Processor.from_pretrained("facebook/sam2-hiera-tiny")
    inputs = processor(images=photo, input_boxes=[[box]])
    outputs = model(**inputs, multimask_output=False)
    mask = processor.post_process_masks(outputs.pred_masks, inputs.original_sizes)[0][0, 0].numpy()

    predictor = SAM2ImagePredictor(genuine_tiny)
    predictor.set_image(photo)
    masks, scores, _ = predictor.predict(box=box, multimask_output=False)
    assert 0.2 < mask.mean() < 0.8
    assert (mask == masks[0]).mean() > 0.9999
    assert outputs.iou_scores.item() == pytest.approx(scores[0], abs=SCORES)
    assert outputs.object_score_logits.isnan().all() == bool(genuine_tiny.missing_parts)
