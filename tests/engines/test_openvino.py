"""Models run by OpenVINO: the masks of PyTorch, kept files, and PyTorch again where a box cannot be run."""

import copy
import logging
import pickle

import numpy as np
import pytest
import torch

from sam2nb import SAM2AutomaticMaskGenerator, SAM2ImagePredictor, SAM2VideoPredictor, load_model
from sam2nb.build import use_engine
from sam2nb.engines import openvino as engine
from sam2nb.engines.openvino import engine_of, use_openvino
from sam2nb.engines.openvino_files import convert, no_telemetry, openvino_folder
from sam2nb.evaluation import mask_iou
from tests.predict.video.clips import frame

pytest.importorskip("openvino")
SIDE = 128
BOX = [10, 20, 100, 80]


def nano(**options):
    return load_model("sam2nb_nano", device="cpu", image_size=SIDE, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, folder):
    """Compiled boxes are kept in a folder of these tests."""
    monkeypatch.setattr("sam2nb.engines.openvino_files.checkpoint_folder", lambda: folder)


@pytest.fixture(scope="module")
def in_torch():
    return nano()


@pytest.fixture(scope="module")
def compiled():
    return nano(engine="openvino")


def test_an_image_has_the_masks_of_pytorch(in_torch, compiled, photo):
    answers = []
    for model in (in_torch, compiled):
        predictor = SAM2ImagePredictor(model)
        predictor.set_image(photo)
        prompts = [{"point_coords": [[220, 120]], "point_labels": [1]}, {"box": [BOX, BOX], "multimask_output": False}]
        answers.append([predictor.predict(**prompt) for prompt in prompts])
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        assert np.mean(ours.masks == theirs.masks) > 0.9999


def test_everything_has_the_masks_of_pytorch(in_torch, compiled, photo):
    ours, theirs = (
        SAM2AutomaticMaskGenerator(model, points_per_side=4, pred_iou_thresh=0.3, stability_score_thresh=0.5).generate(
            photo
        )
        for model in (compiled, in_torch)
    )
    assert len(ours) == len(theirs) > 0
    assert min(mask_iou(a["segmentation"], b["segmentation"]) for a, b in zip(ours, theirs, strict=True)) > 0.999


def track(model, corrects):
    predictor = SAM2VideoPredictor(model, progress=False)
    session = predictor.init_state([frame(index) for index in range(8)])
    for obj_id in (1, 2):
        predictor.add_new_points_or_box(session, 0, obj_id, box=[12 * obj_id - 8, 8, 12 * obj_id + 14, 32])
    masks = {result.frame_idx: np.asarray(result.masks) for result in predictor.propagate_in_video(session)}
    if corrects:
        predictor.add_new_points_or_box(session, 5, 1, points=[[20, 20]], labels=[1])
        masks |= {result.frame_idx: np.asarray(result.masks) for result in predictor.propagate_in_video(session)}
    return np.stack([masks[index] for index in sorted(masks)])


@pytest.mark.parametrize("corrects", [False, True])
def test_a_video_has_the_masks_of_pytorch(in_torch, compiled, corrects):
    ours, theirs = (track(model, corrects) for model in (compiled, in_torch))
    np.testing.assert_allclose(ours, theirs, atol=0.02)
    assert mask_iou(*(logits.reshape(-1, logits.shape[-1]) > 0 for logits in (ours, theirs))) > 0.999
    assert not compiled.encode_image.failed


def test_a_second_model_takes_the_files_of_the_first(compiled, in_torch, photo, caplog):
    SAM2ImagePredictor(compiled).set_image(photo)
    written = {path: path.stat().st_mtime_ns for path in openvino_folder().glob("*.xml")}
    assert written
    again = SAM2ImagePredictor(nano(engine="openvino"))
    again.set_image(photo)
    assert "prepares" not in caplog.text
    assert {path: path.stat().st_mtime_ns for path in written} == written
    expected = SAM2ImagePredictor(in_torch)
    expected.set_image(photo)
    torch.testing.assert_close(again.get_image_embedding(), expected.get_image_embedding(), atol=1e-4, rtol=1e-4)


def test_other_weights_have_files_of_their_own(compiled, photo):
    other = nano()
    with torch.no_grad():
        other.image_encoder.trunk.pos_embed.add_(0.1)
    SAM2ImagePredictor(compiled).set_image(photo)
    before = set(openvino_folder().glob("*image_encoder*.xml"))
    SAM2ImagePredictor(use_openvino(other)).set_image(photo)
    assert len(set(openvino_folder().glob("*image_encoder*.xml")) - before) == 1


def test_changed_weights_are_seen(photo, caplog):
    model, reference = nano(engine="openvino"), nano()
    SAM2ImagePredictor(model).set_image(photo)
    with torch.no_grad():
        for changed in (model, reference):
            changed.image_encoder.trunk.pos_embed.add_(0.1)
    predictor, expected = SAM2ImagePredictor(model), SAM2ImagePredictor(reference)
    predictor.set_image(photo)
    expected.set_image(photo)
    torch.testing.assert_close(predictor.get_image_embedding(), expected.get_image_embedding())
    assert "weights have changed" in caplog.text


def test_a_hook_is_called(photo):
    model, called = nano(engine="openvino"), []
    model.image_encoder.trunk.blocks[0].register_forward_hook(lambda *_: called.append(1))
    SAM2ImagePredictor(model).set_image(photo)
    assert called


def test_gradients_flow():
    model = nano(engine="openvino")
    features = model.encode_image(torch.rand(1, 3, SIDE, SIDE))
    features.embedding.sum().backward()
    assert model.image_encoder.trunk.pos_embed.grad is not None


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_compiles_for_itself(compiled, photo, duplicate):
    twin = duplicate(compiled)
    assert twin.encode_image.model is twin and twin.encode_image.parts[0] is twin.image_encoder
    ours, theirs = SAM2ImagePredictor(twin), SAM2ImagePredictor(compiled)
    for predictor in (ours, theirs):
        predictor.set_image(photo)
    torch.testing.assert_close(ours.get_image_embedding(), theirs.get_image_embedding())


def test_an_encoder_that_fails_runs_in_pytorch(monkeypatch, in_torch, photo, caplog):
    def fail(*_):
        raise RuntimeError("no such kernel\nin this release")

    monkeypatch.setattr("sam2nb.engines.openvino_files.compile_encoder", fail)
    ours, theirs = SAM2ImagePredictor(nano(engine="openvino")), SAM2ImagePredictor(in_torch)
    for predictor in (ours, theirs):
        predictor.set_image(photo)
    torch.testing.assert_close(ours.get_image_embedding(), theirs.get_image_embedding())
    assert caplog.text.count("no such kernel") == 1 and "in this release" not in caplog.text


def test_a_folder_that_cannot_be_written_costs_the_files_only(monkeypatch, tmp_path, in_torch, photo, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sam2nb.engines.openvino_files.checkpoint_folder", lambda: tmp_path / "file")
    predictor = SAM2ImagePredictor(nano(engine="openvino"))
    predictor.set_image(photo)
    assert "cannot keep it" in caplog.text and not predictor.model.encode_image.failed


def test_without_the_package_pytorch_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    model = nano(engine="openvino")
    assert engine_of(model) == "torch float32" and "pip install 'sam2nb[openvino]'" in caplog.text


def test_what_computes_is_told(compiled, in_torch):
    assert engine_of(compiled) == "openvino float32" and engine_of(in_torch) == "torch float32"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorrt"}, "engine must be None .* got 'tensorrt'"),
        ({"engine": "openvino", "precision": "int4"}, "precision must be one of float32, bfloat16, int8, got 'int4'"),
        ({"precision": "int8"}, "is of an engine"),
    ],
)
def test_unknown_engines_and_precisions_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        nano(**options)


def test_other_devices_are_refused(random_model):
    with pytest.raises(ValueError, match="on processors"):
        use_engine(copy.deepcopy(random_model).to("meta"), "openvino")


def test_preparing_inside_an_autocast_gives_the_same_file_and_leaves_the_level_of_logs(caplog):
    level = logging.root.level
    with torch.autocast("cpu", dtype=torch.bfloat16):
        converted = convert(nano())
    assert not any("bf16" in str(node.get_output_element_type(0)) for node in converted.get_ops() if node.outputs())
    assert logging.root.level == level


def test_nothing_is_sent(monkeypatch):
    import os

    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("NNCF_CI", "mine")
    with no_telemetry():
        assert os.environ["CI"] == "true"
    assert "CI" not in os.environ and os.environ["NNCF_CI"] == "mine"


def test_an_encoder_that_computes_something_else_runs_in_pytorch(monkeypatch, in_torch, photo, caplog):
    def wrong(encoder, pixels):
        return [torch.full((1, 256, 8, 8), torch.nan), torch.zeros(1, 32, 32, 32), torch.zeros(1, 64, 16, 16)]

    monkeypatch.setattr(engine.CompiledEncoder, "run", wrong)
    ours, theirs = SAM2ImagePredictor(nano(engine="openvino")), SAM2ImagePredictor(in_torch)
    for predictor in (ours, theirs):
        predictor.set_image(photo)
    torch.testing.assert_close(ours.get_image_embedding(), theirs.get_image_embedding())
    assert "openvino differs by inf" in caplog.text


def test_another_size_goes_to_pytorch(compiled, in_torch):
    pixels = torch.rand(1, 3, 2 * SIDE, SIDE)
    with torch.no_grad():
        ours, theirs = compiled.encode_image(pixels), in_torch.encode_image(pixels)
    torch.testing.assert_close(ours.embedding, theirs.embedding)


def test_several_pictures_are_encoded_one_by_one(compiled, in_torch):
    pixels = torch.rand(3, 3, SIDE, SIDE)
    with torch.no_grad():
        ours, theirs = compiled.encode_image(pixels), in_torch.encode_image(pixels)
    torch.testing.assert_close(ours.embedding, theirs.embedding, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("half", [torch.bfloat16, None])
def test_the_rest_computes_in_half_precision_where_the_processor_has_it(monkeypatch, half, photo):
    monkeypatch.setattr(engine, "fast_half", lambda device: half)
    model = nano(engine="openvino", precision="bfloat16")
    assert model.compute_dtype is (half or torch.float32)
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(photo)
    assert predictor.predict(box=BOX, multimask_output=False).scores[0] > 0
    assert not model.encode_image.failed
    assert nano(engine="openvino").compute_dtype is torch.float32


@pytest.mark.slow
def test_int8_is_close(monkeypatch, in_torch, photo, caplog):
    pytest.importorskip("nncf")
    from sam2nb.engines import int8

    caplog.set_level(logging.WARNING)
    few = int8.calibration_photos()[:4]
    monkeypatch.setattr(int8, "calibration_photos", lambda: few)
    ours, theirs = SAM2ImagePredictor(nano(engine="openvino", precision="int8")), SAM2ImagePredictor(in_torch)
    masks = []
    for predictor in (ours, theirs):
        predictor.set_image(photo)
        masks.append(predictor.predict(box=[100, 20, 330, 290], multimask_output=False).masks[0])
    assert "calibrates INT8 on 4 photographs" in caplog.text
    assert engine_of(ours.model) == "openvino int8" and not ours.model.encode_image.failed
    assert not np.array_equal(ours.get_image_embedding(), theirs.get_image_embedding())
    assert mask_iou(*masks) > 0.9
