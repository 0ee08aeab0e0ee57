"""The Hugging Face calling convention, and equality with transformers, box by box, through the key map."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2nb.build import build_sam2
from sam2nb.huggingface.model import Sam2Config, Sam2Model, Sam2Processor, transformers_config
from sam2nb.model.layers import to_tokens
from sam2nb.weights.checkpoint import load_checkpoint
from sam2nb.weights.names import RULES, _pattern, is_hugging_face, to_hugging_face, to_official
from sam2nb.weights.registry import CHECKPOINTS
from tests.reference import scramble

SIDE = 256
FEATURES, LOGITS, SCORES = 1e-4, 1e-3, 1e-4  # tolerances


def close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=1e-5)


@pytest.fixture(scope="module", params=["sam2.1_hiera_t", "sam2_hiera_b+"])
def pair(request, tmp_path_factory):
    """Our adapter and both transformers classes with the same random weights, by way of a saved folder."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hub")
    ours = Sam2Model(Sam2Config(request.param, SIDE)).eval()
    scramble(ours.sam2, seed=5)
    ours.save_pretrained(folder)
    load = {"pretrained_model_name_or_path": folder, "output_loading_info": True}
    video, about_video = transformers.Sam2VideoModel.from_pretrained(**load)
    still, about_still = transformers.Sam2Model.from_pretrained(**load)
    for about in (about_video, about_still):
        assert not about["missing_keys"] and not about["mismatched_keys"]
    assert not about_video["unexpected_keys"]
    return SimpleNamespace(ours=ours, still=still.eval(), video=video.eval(), folder=folder)


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, SIDE, SIDE)


@pytest.fixture
def embeddings() -> list[Tensor]:
    """What two pictures could look like to the decoder."""
    return [torch.randn(2, c, SIDE // s, SIDE // s) for c, s in ((32, 4), (64, 8), (256, 16))]


def prompts(**chosen: bool) -> dict[str, Tensor]:
    """Two pictures, three objects each."""
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
    ids=lambda given: "+".join(given) or "nothing",
)
def test_masks_and_scores_agree(pair, embeddings, given, multimask):
    asked = prompts(**given) | {"multimask_output": multimask}
    ours = pair.ours(image_embeddings=embeddings, **asked)
    theirs = pair.still(image_embeddings=[level.clone() for level in embeddings], **asked)
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


def test_every_learned_table_arrives_in_its_place(pair):
    ours, theirs = pair.ours.sam2, pair.video
    assert torch.equal(ours.maskmem_tpos_enc, theirs.memory_temporal_positional_encoding)
    assert torch.equal(ours.no_mem_embed, theirs.no_memory_embedding)
    assert torch.equal(ours.no_obj_ptr, theirs.no_object_pointer)
    assert (ours.no_obj_embed_spatial is None) == (theirs.occlusion_spatial_embedding_parameter is None)
    if ours.no_obj_embed_spatial is not None:
        assert torch.equal(ours.no_obj_embed_spatial, theirs.occlusion_spatial_embedding_parameter)
        assert torch.equal(ours.obj_ptr_tpos_proj.weight, theirs.temporal_positional_encoding_projection_layer.weight)


# Names


@pytest.mark.parametrize("name", [c.name for c in CHECKPOINTS.values()])
def test_names_go_both_ways(name):
    state = build_sam2(CHECKPOINTS[name].config, device="meta").state_dict()
    state = {key: torch.empty(value.shape) for key, value in state.items()}
    theirs = to_hugging_face(state)
    assert is_hugging_face(theirs) and not is_hugging_face(state)
    assert not set(theirs) & {key for key in state if not key.startswith(("memory_attention", "mask_downsample"))}
    back = to_official(theirs)
    assert {key: value.shape for key, value in back.items()} == {key: value.shape for key, value in state.items()}


@pytest.mark.parametrize("name", ["sam2_hiera_t", "sam2.1_hiera_s", "sam2.1_hiera_b+", "sam2.1_hiera_l"])
def test_the_written_config_builds_the_same_tensors_in_transformers(name):
    transformers = pytest.importorskip("transformers")
    ours = build_sam2(name, device="meta")
    config = transformers.Sam2VideoConfig.from_dict(transformers_config(ours))
    with torch.device("meta"):
        theirs = transformers.Sam2VideoModel(config).state_dict()
    state = {key: torch.empty(value.shape) for key, value in ours.state_dict().items()}
    wanted = {key: value.shape for key, value in to_hugging_face(state).items()}
    assert {key: value.shape for key, value in theirs.items()} == wanted


def test_no_rule_of_the_table_is_in_vain():
    names = build_sam2("sam2.1_hiera_t", device="meta").state_dict()
    rules = [_pattern(rule) for rule, _ in RULES]
    names = [name for name in names if "point_embeddings" not in name]  # not a mere renaming
    deciding = {next(i for i, rule in enumerate(rules) if rule.fullmatch(name)) for name in names}
    assert deciding == set(range(len(RULES)))


def test_an_unknown_name_is_left_for_strict_loading_to_report():
    state = {"vision_encoder.x": torch.zeros(1), "novelty": torch.zeros(1)}
    assert list(to_official(state)) == list(state)


# Folders


def test_a_hugging_face_folder_loads_into_our_model(pair):
    model = build_sam2(pair.ours.config.config, device="cpu")
    load_checkpoint(model, pair.folder)
    reference = pair.ours.sam2.state_dict()
    assert all(torch.equal(value, reference[name]) for name, value in model.state_dict().items())


def test_from_pretrained_takes_what_was_saved(pair):
    model = Sam2Model.from_pretrained(str(pair.folder))
    assert model.config == pair.ours.config
    assert Sam2Processor.from_pretrained(str(pair.folder)).image_size == SIDE


def test_configurations_follow_names_files_and_folders(tmp_path):
    assert Sam2Config.from_pretrained("facebook/sam2.1-hiera-base-plus") == Sam2Config("sam2.1_hiera_b+", 1024)
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="fits no configuration: it holds no SAM 2"):
        Sam2Config.from_pretrained(str(tmp_path / "a.pt"))
    with pytest.raises(ValueError, match="no checkpoint is called 'facebook/sam3'"):
        Sam2Config.from_pretrained("facebook/sam3")


def test_a_model_that_transformers_does_not_have_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="transformers has no model like this one: SAM 2.1 with the trunk of"):
        Sam2Model(Sam2Config("sam2nb_nano")).save_pretrained(tmp_path / "nano")
    assert not (tmp_path / "nano").exists()


def test_the_config_names_the_video_model(pair):
    notes = json.loads((pair.folder / "config.json").read_text())
    assert notes["architectures"] == ["Sam2VideoModel"] and notes["image_size"] == SIDE


# The processor


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)


def test_processor_scales_prompts_to_the_input_and_pads_with_labels(picture):
    inputs = Sam2Processor(SIDE)(
        images=[picture, picture[:100]],
        input_points=[[[[100, 60]], [[200, 120], [50, 0]]], [[[100, 50]]]],
        input_labels=[[[1], [1, 0]], [[1]]],
    )
    assert inputs.pixel_values.shape == (2, 3, SIDE, SIDE)
    assert inputs["original_sizes"].tolist() == [[120, 200], [100, 200]]
    assert inputs.input_points.tolist() == [
        [[[128, 128], [-10, -10]], [[256, 256], [64, 0]]],
        [[[128, 128], [-10, -10]], [[-10, -10], [-10, -10]]],
    ]
    assert inputs.input_labels.tolist() == [[[1, -10], [1, 0]], [[1, -10], [-10, -10]]]
    assert set(inputs) == {"original_sizes", "pixel_values", "input_points", "input_labels"}


def test_processor_agrees_with_transformers_on_prompts(picture):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.Sam2Processor(transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}))
    asked = {
        "images": [picture],
        "input_points": [[[[100, 60], [3, 7]], [[5, 5]]]],
        "input_labels": [[[1, 0], [1]]],
        "input_boxes": [[[10, 20, 110, 90], [0, 0, 50, 50]]],
        "return_tensors": "pt",
    }
    ours, reference = Sam2Processor(SIDE)(**asked), theirs(**asked)
    for name in ("input_points", "input_labels", "input_boxes", "original_sizes"):
        close(ours[name].float(), torch.as_tensor(reference[name]).float(), 1e-4)
    gap = (ours.pixel_values - reference["pixel_values"]).abs()
    assert gap.max() < 0.05  # they round to bytes after resizing, Meta and we do not


def test_processor_takes_arrays_and_missing_labels_mean_include(picture):
    inputs = Sam2Processor(SIDE)(picture, input_points=np.array([[[[100.0, 60.0]]]]))
    assert inputs.input_labels.tolist() == [[[1]]]


def test_processor_scales_prompts_for_a_picture_that_was_encoded_before():
    inputs = Sam2Processor(SIDE)(input_boxes=[[[0, 0, 100, 60]]], original_sizes=[[120, 200]])
    assert inputs.input_boxes.tolist() == [[[0, 0, 128, 128]]]
    assert inputs.pixel_values is None and "pixel_values" not in inputs.keys()  # noqa: SIM118
    with pytest.raises(KeyError, match="'pixel_values' is not among the inputs"):
        inputs["pixel_values"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "give images, or original_sizes"),
        ({"images": []}, "images must be an image or a list with at least one"),
        ({"images": 1, "return_tensors": "np"}, "return_tensors must be 'pt', got 'np'"),
        ({"images": 1, "input_points": [[[1, 2]]]}, "input_points must be nested as .* got fewer levels"),
        ({"images": 1, "input_points": [[[[[1, 2]]]]]}, "input_points must be nested as .* got more levels"),
        ({"images": 1, "input_points": [[[]]]}, "got an empty list"),
        ({"images": 1, "input_points": [[[[1, 2, 3]]]]}, "got 3 numbers at the innermost level"),
        ({"images": 1, "input_points": [[[[1, float("nan")]]]]}, "input_points must be finite"),
        ({"images": 1, "input_labels": [[[1]]]}, "does not fit no input_points"),
        ({"images": 1, "input_points": [[[[1, 2]]]], "input_labels": [[[1, 1]]]}, "does not fit input_points"),
        ({"images": 1, "input_boxes": [[[1, 2, 3, 4]]] * 2}, "input_boxes is for 2 pictures, but there are 1"),
        ({"images": 2, "input_boxes": [[[1, 2, 3, 4]], [[1, 2, 3, 4]] * 2]}, "the same number of boxes"),
        ({"images": 1, "input_points": [[[[1, 2]]]], "input_boxes": [[[1, 2, 3, 4]] * 2]}, "for 1 objects, .* for 2"),
    ],
)
def test_processor_names_the_argument_that_is_wrong(picture, given, message):
    if given.get("images") in (1, 2):
        given = given | {"images": [picture] * given["images"]}
    with pytest.raises(ValueError, match=message):
        Sam2Processor(SIDE)(**given)


def test_masks_come_back_at_the_size_of_their_pictures():
    logits = torch.full((2, 1, 3, 64, 64), -5.0)
    logits[:, :, :, 10:50, 10:50] = 5.0
    logits[:, :, :, 30, 30] = -5.0  # a hole
    logits[:, :, :, 60, 60] = 5.0  # an island
    processor, sizes = Sam2Processor(SIDE), [[128, 128], [64, 64]]
    masks = processor.post_process_masks(logits, sizes)
    assert [tuple(mask.shape) for mask in masks] == [(1, 3, 128, 128), (1, 3, 64, 64)]
    assert masks[1].dtype == torch.bool and masks[1].sum() == 3 * 1600
    cleaned = processor.post_process_masks(logits, torch.tensor(sizes), max_hole_area=4, max_sprinkle_area=4)
    assert cleaned[1][0, 0, 30, 30] and not cleaned[1][0, 0, 60, 60]
    assert processor.post_process_masks(logits, sizes, binarize=False)[0].dtype == torch.float32
    assert processor.post_process_masks(logits, sizes, mask_threshold=6.0)[1].sum() == 0
    with pytest.raises(ValueError, match="masks are for 2 pictures, original_sizes for 1"):
        processor.post_process_masks(logits, [[64, 64]])


# The model


@torch.no_grad()
def test_the_documented_example_runs(pair, picture):
    processor, model = Sam2Processor(SIDE), pair.ours
    inputs = processor(images=picture, input_points=[[[[100, 60]]]], input_labels=[[[1]]], return_tensors="pt")
    outputs = model(**inputs.to(model.device))
    masks = processor.post_process_masks(outputs.pred_masks.cpu(), inputs["original_sizes"])[0]
    assert masks.shape == (1, 3, 120, 200) and masks.dtype == torch.bool
    assert outputs.iou_scores.shape == (1, 1, 3) and outputs.object_score_logits.shape == (1, 1, 1)
    again = model(**inputs, multimask_output=False, input_masks=outputs.pred_masks[:, :, 0])
    assert again.pred_masks.shape == (1, 1, 1, SIDE // 4, SIDE // 4)


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
def test_each_object_can_have_its_own_mask_and_masks_of_any_size(pair, embeddings):
    asked = {"image_embeddings": [level[:1] for level in embeddings], "input_points": torch.full((1, 2, 1, 2), 60.0)}
    masks = torch.randn(1, 2, SIDE // 4, SIDE // 4) * 5
    own = pair.ours(**asked, input_masks=masks).pred_masks
    second = pair.ours(**asked, input_masks=masks[:, 1:]).pred_masks
    close(own[0, 1], second[0, 1], LOGITS)
    assert not torch.allclose(own[0, 0], second[0, 0], atol=LOGITS)
    large = torch.nn.functional.interpolate(masks, scale_factor=2)
    assert pair.ours(**asked, input_masks=large).pred_masks.shape == own.shape


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
def test_the_genuine_tiny_weights_answer_as_they_do_in_our_predictor(genuine_tiny, photo):
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
