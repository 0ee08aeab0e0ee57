"""Exported files against the model: values, free axes, both precisions, both generations, image-only weights."""

from __future__ import annotations

import builtins
import json

import numpy as np
import onnxruntime
import pytest
import torch

from sam2nb import build_sam2, load_model
from sam2nb.engines import onnx_export
from sam2nb.engines.onnx_export import FACTS, ExportError, export_onnx
from sam2nb.engines.onnx_graphs import exportable, graphs_of
from sam2nb.media.images import masks_to_image, to_model_input
from sam2nb.model.mask_decoder import take_multimask
from sam2nb.model.memory_bank import MemoryBank, choose_memories, recollect
from sam2nb.structures import FrameMemory, Prompts

SIZE = 128
OFFICIAL_LIKE = ["++model.image_size=64"]


@pytest.fixture(scope="module")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=SIZE, fast=False)


@pytest.fixture(scope="module")
def folder(nano, tmp_path_factory):
    target = tmp_path_factory.mktemp("onnx") / "nano"
    written = export_onnx(nano, target)
    assert [path.name for path in written] == [
        "image_encoder.onnx",
        "mask_decoder.onnx",
        "memory_attention.onnx",
        "memory_encoder.onnx",
        FACTS,
    ]
    return target


def run(folder, name: str, **inputs: torch.Tensor) -> list[torch.Tensor]:
    session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    return [torch.from_numpy(np.array(v)) for v in session.run(None, {k: v.numpy() for k, v in inputs.items()})]


def close(ours: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-4) -> None:
    assert ours.shape == expected.shape and ours.dtype == expected.dtype
    assert (ours - expected).abs().max() <= tolerance * expected.abs().max()


@torch.no_grad()
def encoded(folder, nano):
    """-> features of the model, outputs of the file, for one image"""
    pixels = torch.randn(1, 3, SIZE, SIZE)
    return nano.encode_image(pixels), run(folder, "image_encoder", pixels=pixels)


@torch.no_grad()
def test_the_image_encoder_gives_the_features_and_the_embedding_for_a_still_image(folder, nano):
    features, (embedding, conditioned, stride4, stride8) = encoded(folder, nano)
    close(embedding, features.embedding)
    close(conditioned, nano.recall(features))
    for ours, expected in zip((stride4, stride8), features.high_res, strict=True):
        close(ours, expected)


@torch.no_grad()
@pytest.mark.parametrize(("objects", "points", "images"), [(1, 1, 1), (5, 2, 1), (3, 4, 3)])
def test_the_mask_decoder_serves_any_number_of_objects_and_points(folder, nano, photo, objects, points, images):
    features = nano.encode_image(to_model_input(photo, SIZE) + 0.01 * torch.randn(images, 3, SIZE, SIZE))
    conditioned = nano.recall(features)
    xy, labels = torch.rand(objects, points, 2) * SIZE, torch.tensor([1, -1, 0, 1])[:points].repeat(objects, 1)
    masks, has_mask = torch.randn(objects, 1, SIZE // 4, SIZE // 4), torch.rand(objects, 1) > 0.5
    stride4, stride8 = features.high_res
    maps = {"conditioned": conditioned, "stride4": stride4, "stride8": stride8}
    prompts = {"points": xy, "labels": labels, "mask_input": masks, "has_mask": has_mask}
    logits, iou, pointers, score = run(folder, "mask_decoder", **maps, **prompts)
    for row in range(objects):
        image = slice(row, row + 1) if images > 1 else slice(0, 1)
        one = slice(row, row + 1)
        prompt = Prompts(xy[one], labels[one], masks[one] if has_mask[row] else None)
        high_res = (stride4[image], stride8[image])
        single = nano.predict_masks(conditioned[image], high_res, prompt, multimask=False)
        every = nano.predict_all_masks(conditioned[image], high_res, prompt)
        close(logits[one, :1], single.logits)
        close(logits[one, 1:], take_multimask(every).logits)
        torch.testing.assert_close(iou[one], torch.cat((single.iou, every.iou[:, 1:]), dim=1), atol=1e-5, rtol=1e-3)
        close(score[one], every.object_score)
        close(pointers[one, 2], nano.object_pointer(every.tokens[:, 2], every.object_score))


@torch.no_grad()
@pytest.mark.parametrize(("objects", "frame"), [(1, 1), (3, 4)])
def test_the_memory_attention_takes_any_number_of_memories_and_pointers(folder, nano, objects, frame):
    features, (embedding, *_) = encoded(folder, nano)
    grid = SIZE // 16
    banks = [MemoryBank() for _ in range(objects)]
    for bank in banks:
        for index in range(frame):
            memory = FrameMemory(
                torch.randn(1, 64, grid, grid).bfloat16(), torch.randn(1, 256), torch.ones(1, 1), torch.zeros(1)
            )
            (bank.prompted if index == 0 else bank.tracked)[index] = memory
    choice = choose_memories(frame, [0], range(1, frame), num_frames=9, num_maskmem=nano.num_maskmem)
    memories = recollect(banks, choice)
    [conditioned] = run(
        folder,
        "memory_attention",
        embedding=embedding,
        memories=torch.stack([maps.float() for maps, _ in memories.spatial], dim=1),
        rows=torch.tensor([row for _, row in memories.spatial]),
        pointers=torch.stack([pointer for pointer, _ in memories.pointers], dim=1),
        distances=torch.tensor([float(d) for _, d in memories.pointers]) / memories.pointer_span,
    )
    close(conditioned, nano.recall(features, memories))


@torch.no_grad()
def test_the_memory_encoder_knows_prompted_frames_and_absent_objects(folder, nano):
    features, (embedding, *_) = encoded(folder, nano)
    logits, score = 5 * torch.randn(4, 1, SIZE // 4, SIZE // 4), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    prompted = torch.tensor([[True], [True], [False], [False]])
    [memory] = run(
        folder, "memory_encoder", embedding=embedding, logits=logits, object_score=score, from_prompt=prompted
    )
    full = torch.nn.functional.interpolate(logits, (SIZE, SIZE), mode="bilinear")
    for row in range(4):
        one = slice(row, row + 1)
        expected = nano.memorize(features, full[one], score[one], bool(prompted[row]))
        close(memory[one], expected.float(), tolerance=8e-3)  # bfloat16 may round the other way


@torch.no_grad()
def test_half_precision_halves_the_files_and_keeps_the_masks(folder, nano, tmp_path):
    half = tmp_path / "half"
    export_onnx(nano, half, "float16")
    for name in ("image_encoder", "mask_decoder"):
        assert (half / f"{name}.onnx").stat().st_size < 0.62 * (folder / f"{name}.onnx").stat().st_size
    pixels = torch.randn(1, 3, SIZE, SIZE)
    expected, ours = (run(where, "image_encoder", pixels=pixels) for where in (folder, half))
    for one, other in zip(ours, expected, strict=True):
        close(one, other, tolerance=2e-3)
    assert json.loads((half / FACTS).read_text())["weights"] == "float16"


def test_the_facts_say_what_a_user_of_the_files_must_know(folder, nano):
    facts = json.loads((folder / FACTS).read_text())
    assert (facts["image_size"], facts["grid"], facts["mask_size"]) == (SIZE, SIZE // 16, SIZE // 4)
    assert facts["labels"] == {"include": 1, "exclude": 0, "box_top_left": 2, "box_bottom_right": 3, "padding": -1}
    assert facts["num_maskmem"] == nano.num_maskmem and facts["model"] == "sam2nb_nano"
    for name, file in facts["files"].items():
        session = onnxruntime.InferenceSession(str(folder / f"{name}.onnx"))
        assert list(file["inputs"]) == [value.name for value in session.get_inputs()]
        assert list(file["outputs"]) == [value.name for value in session.get_outputs()]
        assert file["difference"] < onnx_export.TOLERANCE["float32"]
    assert facts["files"]["mask_decoder"]["inputs"]["points"] == {"shape": ["objects", "points", 2], "type": "float32"}


@pytest.mark.parametrize("config", ["sam2_hiera_t", "sam2.1_hiera_t"])
def test_models_of_both_generations_can_be_exported(config, tmp_path):
    model = build_sam2(config, device="cpu", hydra_overrides_extra=OFFICIAL_LIKE)  # accelerated, with random weights
    facts = json.loads(export_onnx(model, tmp_path)[-1].read_text())
    assert facts["model"] == config and facts["num_maskmem"] == 7
    assert len({graph.name for graph in graphs_of(exportable(model))}) == len(facts["files"]) == 4


def test_weights_for_images_give_two_files_and_one_clear_line(tmp_path):
    model = build_sam2("sam2_hiera_t", device="cpu", hydra_overrides_extra=OFFICIAL_LIKE)
    model.missing_parts = ("memory_attention", "memory_encoder")
    *files, facts = export_onnx(model, tmp_path)
    assert [path.stem for path in files] == ["image_encoder", "mask_decoder"]
    told = json.loads(facts.read_text())
    assert (
        told["video"].startswith("not possible: this checkpoint has no learned memory")
        and "track" not in told["how_to"]
    )
    assert list(told["files"]["mask_decoder"]["outputs"]) == ["logits", "iou"]


@pytest.mark.genuine
@pytest.mark.slow
def test_the_genuine_tiny_weights_give_the_same_masks(genuine_tiny, photo, tmp_path):
    from sam2nb import SAM2ImagePredictor

    export_onnx(genuine_tiny, tmp_path)
    side, (height, width) = genuine_tiny.image_size, photo.shape[:2]
    _, conditioned, stride4, stride8 = run(tmp_path, "image_encoder", pixels=to_model_input(photo, side))
    logits, iou = run(
        tmp_path,
        "mask_decoder",
        conditioned=conditioned,
        stride4=stride4,
        stride8=stride8,
        points=torch.tensor([[[220.0 * side / width, 120.0 * side / height]]]),
        labels=torch.tensor([[1]]),
        mask_input=torch.zeros(1, 1, side // 4, side // 4),
        has_mask=torch.tensor([[False]]),
    )
    predictor = SAM2ImagePredictor(genuine_tiny)
    predictor.set_image(photo)
    masks, scores, _ = predictor.predict([[220, 120]], [1])
    ours = (masks_to_image(logits[:, 1:], (height, width)) > 0)[0].numpy()
    assert all((a & b).sum() / (a | b).sum() > 0.999 for a, b in zip(ours, masks, strict=True))
    assert np.allclose(iou[0, 1:], scores, atol=1e-3)


def test_the_model_stays_as_it_was(nano, tmp_path):
    before = {name: value.clone() for name, value in nano.state_dict().items()}
    methods = [set(vars(module)) for module in nano.modules()]
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    export_onnx(nano, tmp_path)
    assert torch.rand(1) == expected  # the program's random numbers too
    assert [set(vars(module)) for module in nano.modules()] == methods
    assert all(torch.equal(value, before[name]) for name, value in nano.state_dict().items())


def test_what_cannot_be_exported_is_refused(nano, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="dtype must be one of float32, float16 for ONNX, got 'bfloat16'"):
        export_onnx(nano, tmp_path, "bfloat16")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a folder, and .*file is a file"):
        export_onnx(nano, tmp_path / "file")
    monkeypatch.setitem(onnx_export.TOLERANCE, "float32", -1.0)
    with pytest.raises(ExportError, match=r"image_encoder.onnx differs from PyTorch by"):
        export_onnx(nano, tmp_path / "out")


def test_a_missing_package_is_named_with_the_command_that_installs_it(nano, tmp_path, monkeypatch):
    real = builtins.__import__

    def without_onnx(name, *args, **kwargs):
        if name == "onnx":
            raise ImportError("no onnx")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_onnx)
    with pytest.raises(ImportError, match=r"pip install 'sam2nb\[onnx\]'"):
        export_onnx(nano, tmp_path)
