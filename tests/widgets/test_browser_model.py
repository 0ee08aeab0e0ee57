"""Files and features for a decoder in the browser: they give the package's masks, and every lack is one line."""

from __future__ import annotations

import gzip
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
import torch

from sam2nb import SAM2ImagePredictor, load_model
from sam2nb.masks.measure import iou
from sam2nb.weights.registry import FOLDER_VARIABLE
from sam2nb.widgets import browser_model, ort_web
from sam2nb.widgets.browser_model import INSTALL, MAPS, BrowserModel, decoder_file
from sam2nb.widgets.prompt import PromptWidget

SIDE = 128


@pytest.fixture(scope="module")
def nano():
    return load_model("sam2nb_nano", device="cpu", image_size=SIDE, fast=False)


@pytest.fixture(scope="module")
def predictor(nano, photo):
    predictor = SAM2ImagePredictor(nano, closer=False)
    predictor.set_image(photo)
    return predictor


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder of downloads with something in the place of onnxruntime-web."""
    folder = tmp_path_factory.mktemp("checkpoints")
    home = folder / "browser" / ort_web.PACKAGE
    home.mkdir(parents=True)
    (home / ort_web.CODE).write_text("export {};\n//# sourceMappingURL=x.map")
    (home / (ort_web.WASM + ort_web.PACKED)).write_bytes(gzip.compress(b"\0asm"))
    (home / ort_web.GPU_CODE).write_text("export const gpu = true;")
    (home / (ort_web.GPU_WASM + ort_web.PACKED)).write_bytes(gzip.compress(b"\0asm for GPUs"))
    return folder


@pytest.fixture
def here(cache, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(cache))
    return cache


def ask(predictor, part):
    return BrowserModel(predictor).reply({"kind": "decoder", "part": part})


def test_the_file_and_the_features_that_are_sent_give_the_masks_of_the_package(here, predictor, photo):
    offer, _ = ask(predictor, "offer")
    assert offer["facts"]["image_size"] == SIDE and offer["facts"]["mask_threshold"] == 0
    told, (wasm, decoder) = ask(predictor, "files")
    assert told["code"] == "export {};\n" and gzip.decompress(wasm) == b"\0asm"
    assert "self.onmessage" in told["worker"]
    content, buffers = ask(predictor, "features")
    assert content["maps"] == list(MAPS) and (content["height"], content["width"]) == photo.shape[:2]
    grid = SIDE // 16
    scales = dict(zip(MAPS, (1, 4, 2), strict=True))
    maps = {
        name: np.frombuffer(half, np.float16).reshape(1, -1, scales[name] * grid, scales[name] * grid).astype("f")
        for name, half in zip(MAPS, buffers, strict=True)
    }
    x, y = 220, 120
    points = np.array([[[x * SIDE / photo.shape[1], y * SIDE / photo.shape[0]]]], "f")
    none = {"mask_input": np.zeros((1, 1, SIDE // 4, SIDE // 4), "f"), "has_mask": np.array([[False]])}
    session = onnxruntime.InferenceSession(decoder, providers=["CPUExecutionProvider"])
    logits, scores = session.run(None, {**maps, "points": points, "labels": np.array([[1]]), **none})
    expected = predictor.predict([[x, y]], [1])
    assert np.allclose(scores[0, 1:], expected.scores, atol=5e-3)
    ours, theirs = torch.from_numpy(logits[0, 1:] > 0), torch.from_numpy(expected.logits > 0)
    assert (iou(ours, theirs) > 0.99).all()


def test_a_browser_with_a_gpu_gets_the_build_for_it(here, predictor):
    reply = BrowserModel(predictor).reply
    offer, files = (reply({"part": part, "gpu": True}) for part in ("offer", "files"))
    assert offer[0]["key"] == ask(predictor, "offer")[0]["key"] + "-webgpu"
    assert files[0]["code"] == "export const gpu = true;" and gzip.decompress(files[1][0]) == b"\0asm for GPUs"


def test_a_model_is_exported_once_and_old_decoders_are_removed(here, nano, predictor, monkeypatch):
    file = decoder_file(nano)
    monkeypatch.setattr(browser_model, "export_graph", None)
    assert decoder_file(nano) == file and ask(predictor, "offer")[0]["key"] == file.stem
    for number in range(browser_model.FILES_KEPT + 2):
        (file.parent / f"old-{number}.onnx").touch()
    monkeypatch.undo()
    monkeypatch.setenv(FOLDER_VARIABLE, str(here))
    file.unlink()
    decoder_file(nano)
    assert len(list(file.parent.glob("*.onnx"))) == browser_model.FILES_KEPT and file.is_file()


def test_a_decoder_that_was_changed_after_loading_is_not_offered(here, nano, predictor):
    opposite = lambda _module, _inputs, found: replace(found, logits=-found.logits)  # noqa: E731
    handle = nano.sam_mask_decoder.register_forward_hook(opposite)
    try:
        told, _ = ask(predictor, "offer")
    finally:
        handle.remove()
    assert told["missing"].endswith("Python answers: its decoder was changed after loading")


def test_what_is_missing_is_one_line_and_python_goes_on(predictor, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    for part in ("offer", "files"):
        assert ask(predictor, part) == ({"missing": INSTALL}, [])
    assert "pip install 'sam2nb[browser]'" in INSTALL and "\n" not in INSTALL
    assert ask(None, "offer") == ({"missing": ""}, []), "a function answers in Python: nothing to say"


def test_a_model_that_cannot_be_exported_is_one_line(here, predictor, monkeypatch):
    def failing(model):
        raise RuntimeError("no such operator\nat line 3")

    monkeypatch.setattr(browser_model, "decoder_file", failing)
    told, buffers = ask(predictor, "offer")
    assert told["missing"].endswith("Python answers: no such operator") and buffers == []


def test_the_widget_passes_the_messages_on(here, predictor, photo):
    sent = []
    widget = PromptWidget(photo, predictor)
    widget.send = lambda content, buffers=None: sent.append((content, buffers))
    widget._handle_custom_msg({"kind": "decoder", "part": "features", "request": "r7"}, [])
    [(content, buffers)] = sent
    assert content["request"] == "r7" and len(buffers) == len(MAPS)
    by_function = PromptWidget(photo, lambda points, labels, box: np.zeros(photo.shape[:2], bool))
    by_function.send = widget.send
    by_function._handle_custom_msg({"kind": "decoder", "part": "offer", "request": "r8"}, [])
    assert sent[-1][0]["missing"] == ""


def test_onnxruntime_web_comes_from_npm_once_and_only_if_it_is_the_published_archive(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert ort_web.ort_web_here() is None

    def pack(package, folder, size):
        (folder / "x.tgz").write_bytes(b"another archive")
        return folder / "x.tgz"

    monkeypatch.setattr(ort_web, "npm_pack", pack)
    with pytest.raises(ort_web.PackageError, match="does not have the expected SHA-512"):
        ort_web.fetch_ort_web()
    assert ort_web.ort_web_here() is None

    digest = SimpleNamespace(digest=lambda: ort_web.base64.b64decode(ort_web.SHA512))
    monkeypatch.setattr(ort_web.hashlib, "sha512", lambda _: digest)

    def unpack(archive, folder, names):
        for name in names:
            (folder / name).write_bytes(name.encode())
        return [folder / name for name in names]

    monkeypatch.setattr(ort_web, "unpack", unpack)
    home = ort_web.fetch_ort_web()
    assert home.name == ort_web.PACKAGE
    for gpu, name in ((False, ort_web.WASM), (True, ort_web.GPU_WASM)):
        assert gzip.decompress(ort_web.ort_web(gpu).wasm) == name.encode()
    monkeypatch.setattr(ort_web, "npm_pack", None)
    assert ort_web.fetch_ort_web() == home


def test_a_model_of_another_engine_has_a_decoder_for_the_browser(here, photo, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr("sam2nb.engines.openvino_files.checkpoint_folder", lambda: here)
    compiled = load_model("sam2nb_nano", device="cpu", image_size=SIDE, engine="openvino")
    predictor = SAM2ImagePredictor(compiled, closer=False)
    predictor.set_image(photo)  # compiles what a copy cannot take along
    offer, _ = ask(predictor, "offer")
    features, buffers = ask(predictor, "features")
    assert offer["key"].startswith(f"sam2nb_nano-{SIDE}-") and features["maps"] == list(MAPS) and len(buffers) == 3
