"""The `info`, `download` and `export` commands."""

from __future__ import annotations

import json
import sys

import pytest
import torch
from safetensors.torch import load_file

from sam2nb import cli
from sam2nb.build import build_sam2
from sam2nb.huggingface.config import processor_image_size
from sam2nb.weights import registry, transfer
from sam2nb.weights.checkpoint import save_checkpoint
from sam2nb.weights.files import VIDEO_PARTS, read_state_file, write_state_file
from sam2nb.weights.names import to_hugging_face


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `sam2nb ARGUMENTS` -> (exit code, stdout, stderr)."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sam2nb", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one checkpoint, our smallest, random weights."""
    monkeypatch.setenv(registry.FOLDER_VARIABLE, str(tmp_path / "here"))
    monkeypatch.setattr(registry, "shipped_folder", lambda: None)
    monkeypatch.setattr(registry, "hub_cache_file", lambda _: None)
    save_checkpoint(build_sam2("sam2nb_nano", device="cpu"), tmp_path / "here" / "sam2nb_nano.safetensors")
    return tmp_path / "here"


def test_info_lists_every_checkpoint_with_published_numbers_and_where_it_is(run, folder):
    code, out, _ = run("info")
    assert code == 0
    assert all(name in out for name in registry.CHECKPOINTS)
    large = next(line for line in out.splitlines() if line.startswith("sam2.1_hiera_large"))
    assert large.split() == ["sam2.1_hiera_large", "224.4", "39.5", "79.5", "74.6", "80.6", "-"]
    assert f"{folder}/sam2nb_nano.safetensors" in out
    assert "as published by Meta" in out and "computes on" in out


def test_info_shows_everything_about_one_checkpoint(run, folder):
    _, out, _ = run("info", "facebook/sam2.1-hiera-small")
    for words in ("sam2.1_hiera_small", "46,060,354", "Apache-2.0", "092824/sam2.1_hiera_small.pt", "84.8 FPS", "no"):
        assert words in out
    _, out, _ = run("info", "sam2nb_nano")
    assert "SAM 2.1 with the trunk of sam2nb_nano" in out and "float32" in out


def test_info_describes_a_file(run, folder):
    _, out, _ = run("info", folder / "sam2nb_nano.safetensors")
    file, holds, video, config = out.splitlines()
    assert file.split()[:2] == ["file", f"{folder}/sam2nb_nano.safetensors"]
    assert holds.startswith("holds            SAM 2.1 with the trunk of sam2nb_nano (5 blocks, width 96): ")
    assert holds.endswith(" 296 tensors, 10,539,074 values, float32") and config == "config           sam2nb_nano"
    assert video == "video            with learned memory"


def test_a_users_mistake_is_one_line_and_not_a_traceback(run, folder):
    code, out, complaint = run("info", "sam2_hiera_tinny")
    assert (code, out) == (2, "")
    assert complaint.startswith("sam2nb: no checkpoint is called 'sam2_hiera_tinny'. Did you mean")
    assert complaint.count("\n") == 1


def test_download_prints_where_the_file_is(run, folder, monkeypatch):
    assert run("download", "sam2nb_nano")[1].strip() == str(folder / "sam2nb_nano.safetensors")

    def unreachable(url):
        raise transfer.DownloadError("no network")

    monkeypatch.setattr(transfer, "require_host", unreachable)
    code, out, complaint = run("download", "sam2.1_hiera_tiny", "sam2nb_nano", "--video")
    assert out.strip() == str(folder / "sam2nb_nano.safetensors")  # one failure does not stop the others
    assert code == 2 and "could not be downloaded" in complaint and "no network" in complaint


def test_download_gets_the_runtime_for_browsers_too(run, folder, monkeypatch):
    from sam2nb.widgets import ort_web

    monkeypatch.setattr(ort_web, "fetch_ort_web", lambda: folder / "browser" / ort_web.PACKAGE)
    assert run("download", "onnxruntime-web")[1].strip().endswith(ort_web.PACKAGE)

    def missing():
        raise ort_web.PackageError("the npm command is missing")

    monkeypatch.setattr(ort_web, "fetch_ort_web", missing)
    code, out, complaint = run("download", "onnxruntime-web", "sam2nb_nano")
    assert code == 2 and "the npm command is missing" in complaint and "sam2nb_nano" in out


def test_export_changes_format_precision_and_names(run, folder, tmp_path):
    original = read_state_file(folder / "sam2nb_nano.safetensors")
    target = tmp_path / "nano.pt"
    assert run("export", "sam2nb_nano", target, "--dtype", "float16") == (0, f"{target}\n", "")
    exported = read_state_file(target)
    assert exported.metadata["config"] == "sam2nb_nano"
    assert all(torch.equal(exported.state[name], value.half()) for name, value in original.state.items())

    run("export", "sam2nb_nano", tmp_path / "theirs.safetensors", "--naming", "huggingface")
    assert set(load_file(tmp_path / "theirs.safetensors")) == set(to_hugging_face(original.state))
    again = read_state_file(tmp_path / "theirs.safetensors").state
    assert all(torch.equal(again[name], value) for name, value in original.state.items())


def test_export_writes_a_folder_for_transformers(run, folder, tmp_path):
    code, _, complaint = run("export", "sam2nb_nano", tmp_path / "nano", "--naming", "huggingface")
    assert code == 2 and "transformers has no model like this one" in complaint
    code, _, complaint = run("export", "sam2nb_nano", tmp_path / "n", "--naming", "huggingface", "--dtype", "float16")
    assert code == 2 and "as stored" in complaint
    tiny = build_sam2("sam2_hiera_t", device="cpu")
    state = {name: value for name, value in tiny.state_dict().items() if not name.startswith(VIDEO_PARTS)}
    write_state_file(tmp_path / "image.safetensors", state, {"config": "sam2_hiera_t"})
    target = tmp_path / "tiny"
    assert run("export", tmp_path / "image.safetensors", target, "--naming", "huggingface")[1] == f"{target}\n"
    written = read_state_file(target).state
    assert processor_image_size(target) == 1024 and (target / "processor_config.json").is_file()
    assert set(written) == set(state)  # random video parts are not passed off as weights
    assert all(torch.equal(written[name], value) for name, value in state.items())


def test_export_writes_a_model_for_onnxruntime(run, folder, tmp_path):
    target = tmp_path / "onnx"
    code, out, _ = run("export", "sam2nb_nano", target, "--format", "onnx", "--image-size", 64)
    assert code == 0 and out.splitlines()[-1] == f"{target}/model.json" and len(out.splitlines()) == 5
    assert json.loads((target / "model.json").read_text())["image_size"] == 64
    code, out, _ = run(
        "export", folder / "sam2nb_nano.safetensors", tmp_path / "f", "--format", "onnx", "--image-size", 64
    )
    assert code == 0 and (tmp_path / "f" / "mask_decoder.onnx").stat().st_size > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "tflite"), "--format must be onnx, or left out for a checkpoint, got 'tflite'"),
        (("--image-size", 64), "--image-size is for --format onnx"),
        (("--format", "onnx", "--naming", "huggingface"), "--naming is for checkpoints"),
        (("--format", "onnx", "--dtype", "bfloat16"), "dtype must be one of float32, float16 for ONNX"),
        (("--format", "onnx", "--image-size", 70), "image_size must be a positive multiple of 32, got 70"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, folder, tmp_path, options, message):
    code, _, complaint = run("export", "sam2nb_nano", tmp_path / "out", *options)
    assert code == 2 and message in complaint and complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--dtype", "int8", "dtype must be one of float32"), ("--naming", "keras", "naming must be one of official")],
)
def test_export_refuses_what_it_cannot_write(run, folder, tmp_path, option, value, message):
    code, _, complaint = run("export", "sam2nb_nano", tmp_path / "nano.pt", option, value)
    assert code == 2 and message in complaint
    assert not (tmp_path / "nano.pt").exists()
