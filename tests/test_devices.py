"""Devices and their precision: what is chosen without a wish, and by "auto"."""

import pytest
import torch

from sam2nb import SAM2ImagePredictor, devices, load_model
from sam2nb.devices import fast_half, pick_device, pick_dtype
from sam2nb.evaluation import mask_iou
from sam2nb.export.boxes import load_detections
from sam2nb.resources import resource_dir

CPU = torch.device("cpu")


@pytest.mark.parametrize("native", [False, True])
def test_auto_takes_bfloat16_where_the_processor_has_it(monkeypatch, native):
    monkeypatch.setattr(devices, "_multiplies_bfloat16", lambda: native)
    assert pick_dtype("auto", CPU) is (torch.bfloat16 if native else torch.float32)
    assert pick_dtype(None, CPU) is torch.float32
    assert load_model("sam2nb_nano", device="cpu", dtype="auto").compute_dtype is pick_dtype("auto", CPU)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_a_gpu_has_a_half_precision(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    gpu = torch.device("cuda")
    assert fast_half(gpu) is pick_dtype(None, gpu) is pick_dtype("auto", gpu) is expected


def test_an_apple_gpu_computes_in_float32():
    assert fast_half(torch.device("mps")) is None and pick_dtype("auto", torch.device("mps")) is torch.float32


@pytest.mark.parametrize(("flags", "expected"), [((False, False), False), ((True, False), True), ((False, True), True)])
def test_a_processor_is_asked_for_its_instructions(monkeypatch, flags, expected):
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    for name, flag in zip(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), flags, strict=True):
        monkeypatch.setattr(torch.cpu, name, lambda flag=flag: flag, raising=False)
    assert (fast_half(CPU) is torch.bfloat16) is expected


def test_an_old_pytorch_that_does_not_know_is_not_asked(monkeypatch):
    monkeypatch.setattr(devices.platform, "machine", lambda: "x86_64")
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert fast_half(CPU) is None


@pytest.mark.genuine
def test_masks_in_bfloat16_are_those_of_float32(genuine_tiny):
    photos = resource_dir("data") / "photos"
    boxes = load_detections(photos / "boxes" / "coffee.csv").xyxy
    masks = []
    for dtype in (torch.float32, torch.bfloat16):
        genuine_tiny.compute_dtype = dtype
        predictor = SAM2ImagePredictor(genuine_tiny)
        predictor.set_image(photos / "coffee.jpg")
        masks.append(predictor.predict(box=boxes, multimask_output=False).masks[:, 0])
    genuine_tiny.compute_dtype = torch.float32
    assert len(boxes) > 1
    assert min(mask_iou(exact, half) for exact, half in zip(*masks, strict=True)) > 0.995


def test_the_device_asked_for_is_taken_or_refused():
    assert pick_device("cpu") == CPU
    with pytest.raises(ValueError, match="not available here|must be"):
        pick_device("cuda:99" if not torch.cuda.is_available() else "tpu")
