"""Imports stay light: a fresh process loads no library that its task does not need."""

import subprocess
import sys

import pytest

import sam2nb

NETWORK = ("requests", "urllib3", "huggingface_hub")
DRAWING = ("matplotlib", "supervision")


def modules_after(code: str) -> set[str]:
    """The top-level modules loaded in a fresh process after running the code."""
    code = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_package_loads_no_torch():
    assert "torch" not in modules_after("import sam2nb")


@pytest.mark.parametrize(
    "code",
    [
        'from sam2nb import build_sam2; build_sam2("sam2nb_nano", device="cpu")',
        'from sam2nb import load_model; load_model("sam2nb_nano", device="cpu")',
    ],
    ids=["random weights", "a checkpoint on disk"],
)
def test_a_model_needs_no_network_no_onnx_and_no_drawing(code):
    modules = modules_after(code)
    assert "torch" in modules
    assert not modules & {*NETWORK, *DRAWING, "onnxruntime"}


@pytest.mark.parametrize("module", ["image", "everything.generator", "video.predictor"])
def test_predictors_need_no_drawing_and_no_network(module):
    modules = modules_after(f"import sam2nb.predict.{module}")
    assert "sam2nb" in modules
    assert not modules & {*NETWORK, *DRAWING}


def test_every_name_has_a_home():
    assert sam2nb.__all__ == [*sam2nb._HOMES, "__version__"]


@pytest.mark.parametrize("name", sam2nb.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(sam2nb, name) is not None and name in dir(sam2nb)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'sam2nb' has no attribute 'SAM3'"):
        sam2nb.SAM3  # noqa: B018
