"""Trust: imports change nothing global, nothing runs code from a file or a name, nothing is written elsewhere."""

import ast
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "sam2nb"
FILES = sorted(PACKAGE.rglob("*.py"))

GLOBAL_STATE = """
import logging, os, signal, sys, warnings
import av, cv2, matplotlib, numpy, supervision, torch, torchvision, tqdm, PIL.Image, hydra, omegaconf, pycocotools.mask
from hydra.core.global_hydra import GlobalHydra

def state():
    flags = torch.backends
    return {
        "cwd": os.getcwd(), "environment": dict(os.environ), "path": list(sys.path), "filters": list(warnings.filters),
        "handlers": list(logging.getLogger().handlers), "level": logging.getLogger().level,
        "dtype": torch.get_default_dtype(), "threads": torch.get_num_threads(), "cv2 threads": cv2.getNumThreads(),
        "flags": (flags.cudnn.benchmark, flags.cudnn.allow_tf32, flags.cuda.matmul.allow_tf32, flags.cudnn.enabled),
        "precision": torch.get_float32_matmul_precision(), "grad": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(), "random": torch.get_rng_state().tolist(),
        "numpy": repr(numpy.random.get_state()), "errors": numpy.geterr(),
        "hydra": GlobalHydra.instance().is_initialized(),
        "figures": dict(matplotlib.rcParams), "bar": vars(tqdm.tqdm)["__init__"],
        "pixels": PIL.Image.MAX_IMAGE_PIXELS, "signals": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)],
        "hook": sys.excepthook, "recursion": sys.getrecursionlimit(), "umask": (os.umask(0o022), os.umask(0o022))[0],
    }

def compare(use):
    after = state()
    print(use, [name for name in before if before[name] != after[name]])

os.umask(0o022)
state()  # once, because looking at some of it changes it
before = state()
"""
USES = {
    "the package": "import sam2nb; [getattr(sam2nb, name) for name in sam2nb.__all__]",
    "a predictor": "from sam2nb import SAM2ImagePredictor, load_model; import numpy as np\n"
    "p = SAM2ImagePredictor(load_model('sam2nb_nano', device='cpu', image_size=64))\n"
    "p.set_image(np.zeros((9, 9, 3), np.uint8)); p.predict([[3, 3]], [1])",
    "the figures": "import sam2nb.plotting, sam2nb.export.masks, sam2nb.export.tracks",
    "the command line": "import sam2nb.cli",
}


def test_nothing_global_changes():
    code = "\n".join([GLOBAL_STATE, *(f"{use}\ncompare({name!r})" for name, use in USES.items())])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{name} []" for name in USES]


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads"}
FORBIDDEN_CALLS |= {
    "yaml.load",
    "yaml.unsafe_load",
    "subprocess.getoutput",
    "marshal.loads",
    "shelve.open",
    "joblib.load",
}


def calls_of(path: Path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_call_runs_code_from_a_file_or_a_shell(path):
    for name, node in calls_of(path):
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert name not in FORBIDDEN_CALLS, f"line {node.lineno}: {name}"
        assert options.get("shell", "False") == "False", f"line {node.lineno}: a shell"
        assert options.get("allow_pickle", "False") == "False", f"line {node.lineno}: a pickle"
        assert options.get("verify", "True") != "False", f"line {node.lineno}: an unverified connection"
        if name == "torch.load":
            assert options.get("weights_only") == "True", f"line {node.lineno}: torch.load that may run code"
        if name.endswith(".extractall") and name.startswith("tar"):
            assert options.get("filter") == "'data'", f"line {node.lineno}: paths of an archive are not checked"
        if name.startswith("subprocess.") and node.args:
            assert not isinstance(node.args[0], (ast.JoinedStr, ast.Constant)), f"line {node.lineno}: a command as text"


@pytest.mark.parametrize("kind", [".zip", ".tgz"])
def test_an_archive_cannot_write_outside_its_folder(tmp_path, kind):
    from sam2nb.training.data.sources import _unpack

    archive, target = tmp_path / f"bad{'.whl' if kind == '.zip' else kind}", tmp_path / "inside" / "target"
    (tmp_path / "note.txt").write_text("escaped")
    if kind == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            file.write(tmp_path / "note.txt", "../../escaped.txt")
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.add(tmp_path / "note.txt", "../../escaped.txt")
    try:
        _unpack(archive, target)
    except tarfile.TarError as error:
        assert "outside" in str(error)
    assert not (tmp_path / "escaped.txt").exists()


@pytest.mark.parametrize(
    "name", ["a b.png", "-rf.png", "$(touch x).png", "`id`.png", "a;b.png", "'\".png", "ü\n.png", "%s.png"]
)
def test_no_name_of_a_file_is_read_as_anything_else(image_predictor, tmp_path, monkeypatch, name):
    from PIL import Image

    from tests.hardening.cases import picture

    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture((20, 30))).save(name)
    before = sorted(tmp_path.iterdir())
    image_predictor.set_image(name)
    image_predictor.save(f"{name}.safetensors")
    image_predictor.load(f"{name}.safetensors")
    assert image_predictor.original_sizes == [(20, 30)]
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / f"{name}.safetensors"])
